"""The library's database: its tables, how they came to be, and how it is opened."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shlex import quote

from mlx_aimv2 import install_hints
from mlx_aimv2.errors import OutputError
from mlx_aimv2.files.paths import absolute, printable
from mlx_aimv2.files.spelling import fold

from ..caption_text import searchable
from ..shot_names import shot_key
from ..tag_names import tag_key

APPLICATION_ID = 0x41494D32  # "AIM2", in the file's header
_BUSY_MS = 10_000

# One step per version; a library of an older version is taken through those it lacks.
# Paths are the bytes that the system gave: names need not be UTF-8.
MIGRATIONS = (
    """
    CREATE TABLE roots (
        path BLOB PRIMARY KEY,
        is_photos INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE files (
        id INTEGER PRIMARY KEY,
        path BLOB NOT NULL UNIQUE,
        size_bytes INTEGER NOT NULL,
        mtime_ns INTEGER NOT NULL,
        hash BLOB,
        format TEXT,
        width_px INTEGER,
        height_px INTEGER,
        orientation INTEGER,
        taken_at TEXT,
        latitude REAL,
        longitude REAL,
        uuid TEXT,
        signature BLOB,
        error TEXT,
        error_hint TEXT,
        missing_since TEXT
    ) STRICT;
    CREATE INDEX files_by_hash ON files (hash);
    CREATE INDEX files_by_size ON files (size_bytes);
    CREATE INDEX files_by_uuid ON files (uuid) WHERE uuid IS NOT NULL;
    CREATE INDEX files_in_error ON files (id) WHERE error IS NOT NULL;
    CREATE INDEX files_missing ON files (id) WHERE missing_since IS NOT NULL;

    CREATE TABLE sets (
        id INTEGER PRIMARY KEY,
        key TEXT NOT NULL UNIQUE,
        source TEXT NOT NULL,
        fingerprint TEXT NOT NULL,
        settings TEXT NOT NULL,
        width INTEGER NOT NULL,
        has_text INTEGER NOT NULL,
        logit_scale REAL,
        folder TEXT NOT NULL,
        row_count INTEGER NOT NULL DEFAULT 0,
        is_serving INTEGER NOT NULL DEFAULT 0
    ) STRICT;

    CREATE TABLE vectors (
        set_id INTEGER NOT NULL REFERENCES sets ON DELETE CASCADE,
        file_id INTEGER NOT NULL REFERENCES files ON DELETE CASCADE,
        row INTEGER NOT NULL,
        PRIMARY KEY (set_id, file_id)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX vectors_by_row ON vectors (set_id, row);

    CREATE TABLE tags (
        file_id INTEGER NOT NULL REFERENCES files ON DELETE CASCADE,
        tag TEXT NOT NULL,
        origin TEXT NOT NULL,
        score REAL,
        PRIMARY KEY (file_id, tag, origin)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX tags_by_tag ON tags (tag);

    CREATE TABLE sidecars (
        path BLOB PRIMARY KEY,
        file_id INTEGER REFERENCES files ON DELETE SET NULL,
        before BLOB,
        after BLOB NOT NULL
    ) STRICT, WITHOUT ROWID;
    """,
    # Of sets that do not serve, those that are not being built: another one took over.
    """
    ALTER TABLE sets ADD COLUMN is_former INTEGER NOT NULL DEFAULT 0;
    UPDATE sets SET is_former = 1 WHERE NOT is_serving AND (
        id < (SELECT max(id) FROM sets WHERE is_serving) OR NOT EXISTS (
            SELECT 1 FROM files WHERE error IS NULL AND missing_since IS NULL
            AND id NOT IN (SELECT file_id FROM vectors WHERE set_id = sets.id)
        )
    );
    """,
    # When the sidecars changed that gave a photo its date, or none; and what may be one shot.
    """
    ALTER TABLE files ADD COLUMN sidecar_stamp INTEGER;
    ALTER TABLE files ADD COLUMN shot INTEGER;
    CREATE INDEX files_by_shot ON files (shot);
    """,
    # By which rule a photo's colours were read (colour.RULE); NULL: profiles were ignored.
    """
    ALTER TABLE files ADD COLUMN colours TEXT;
    CREATE INDEX files_of_unread_colours ON files (id) WHERE colours IS NULL;
    """,
    # When anything of a file changed last, on disks that tell; what is missing as it is excluded.
    """
    ALTER TABLE files ADD COLUMN ctime_ns INTEGER;
    ALTER TABLE files ADD COLUMN is_excluded INTEGER NOT NULL DEFAULT 0;
    CREATE TABLE excluded (pattern BLOB PRIMARY KEY) STRICT, WITHOUT ROWID;
    """,
    # Who gave a tag, and the owner's word: known by a photo's content, so that it outlives files.
    """
    ALTER TABLE files ADD COLUMN last_hash BLOB; -- stays while a photo cannot be read
    UPDATE files SET last_hash = hash;
    CREATE INDEX files_by_last_hash ON files (last_hash);

    CREATE TABLE tags_with_keys (
        file_id INTEGER NOT NULL REFERENCES files ON DELETE CASCADE,
        key TEXT NOT NULL,
        origin TEXT NOT NULL,
        tag TEXT NOT NULL,
        score REAL,
        PRIMARY KEY (file_id, key, origin)
    ) STRICT, WITHOUT ROWID;
    INSERT OR IGNORE INTO tags_with_keys
        SELECT file_id, tag_key(tag), iif(origin = 'aimv2', 'vocabulary earlier', origin), tag,
        score FROM tags;
    DROP TABLE tags;
    ALTER TABLE tags_with_keys RENAME TO tags;
    CREATE INDEX tags_by_key ON tags (key);

    CREATE TABLE verdicts (
        hash BLOB NOT NULL,
        key TEXT NOT NULL,
        tag TEXT NOT NULL,
        verdict TEXT NOT NULL CHECK (verdict IN ('added', 'confirmed', 'rejected')),
        at TEXT NOT NULL,
        PRIMARY KEY (hash, key)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX verdicts_by_key ON verdicts (key);

    CREATE TABLE emitted (
        hash BLOB NOT NULL,
        key TEXT NOT NULL,
        tag TEXT NOT NULL, -- as it was spelled: ExifTool takes out exactly that
        PRIMARY KEY (hash, key, tag)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE aliases (key TEXT PRIMARY KEY, tag TEXT NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE taught (key TEXT PRIMARY KEY, tag TEXT NOT NULL, words TEXT) STRICT, WITHOUT ROWID;
    CREATE TABLE vocabularies (
        name TEXT PRIMARY KEY,
        text TEXT NOT NULL,
        min_confidence REAL,
        tag_limit INTEGER,
        used_at TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
    INSERT INTO settings VALUES ('library_id', lower(hex(randomblob(4))));

    CREATE TABLE edits (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        uuid TEXT NOT NULL UNIQUE,
        at TEXT NOT NULL,
        kind TEXT NOT NULL,
        said TEXT NOT NULL,
        undone_at TEXT
    ) STRICT;
    CREATE TABLE changes (
        id INTEGER PRIMARY KEY,
        edit_id INTEGER NOT NULL REFERENCES edits ON DELETE CASCADE,
        place TEXT NOT NULL,
        file_id INTEGER REFERENCES files ON DELETE CASCADE,
        hash BLOB,
        names TEXT NOT NULL,
        before TEXT,
        after TEXT
    ) STRICT;
    CREATE INDEX changes_by_edit ON changes (edit_id);
    CREATE INDEX changes_by_file ON changes (file_id) WHERE file_id IS NOT NULL;
    CREATE INDEX changes_by_hash ON changes (hash) WHERE hash IS NOT NULL;

    CREATE VIEW shown_tags AS
        SELECT file_id, tags.tag, tags.key, origin, score FROM tags
        JOIN files ON files.id = file_id
        LEFT JOIN verdicts ON verdicts.hash = last_hash AND verdicts.key = tags.key
        WHERE verdict IS NOT 'rejected'
        UNION ALL
        SELECT files.id, tag, key, 'you', NULL FROM verdicts
        JOIN files ON last_hash = verdicts.hash WHERE verdict <> 'rejected';

    ALTER TABLE files ADD COLUMN keywords_stamp INTEGER;

    INSERT INTO edits (uuid, at, kind, said)
        SELECT lower(hex(randomblob(16))), strftime('%Y-%m-%dT%H:%M:%S+00:00', 'now'), 'tag',
        'by an earlier version' WHERE EXISTS (SELECT 1 FROM tags WHERE origin LIKE 'vocabulary %');
    INSERT INTO changes (edit_id, place, file_id, names, after)
        SELECT edits.id, 'tags', file_id, json_array(key, origin), json_array(tag, score)
        FROM tags JOIN edits WHERE origin LIKE 'vocabulary %';
    """,
    # Names that other programs put into photos, where ExifTool writes a path of ours with the same.
    """
    CREATE TABLE names_of_others (
        hash BLOB NOT NULL,
        name TEXT NOT NULL,
        PRIMARY KEY (hash, name)
    ) STRICT, WITHOUT ROWID;
    """,
    # What photos show, in words; an empty text of the owner's says that there is to be none.
    """
    CREATE TABLE captions (
        id INTEGER PRIMARY KEY,
        hash BLOB NOT NULL,
        origin TEXT NOT NULL CHECK (origin IN ('you', 'file', 'program')),
        text TEXT NOT NULL,
        prompt TEXT,
        model TEXT,
        at TEXT NOT NULL,
        UNIQUE (hash, origin)
    ) STRICT;
    CREATE VIEW shown_captions AS
        SELECT id, hash, origin, text, prompt, model FROM captions WHERE origin = (
            SELECT other.origin FROM captions AS other WHERE other.hash = captions.hash
            ORDER BY instr('you file program', other.origin) LIMIT 1
        );

    CREATE VIRTUAL TABLE caption_words USING fts5(
        text, tokenize = 'porter unicode61 remove_diacritics 2'
    );
    CREATE TRIGGER caption_added AFTER INSERT ON captions BEGIN
        INSERT INTO caption_words (rowid, text) VALUES (NEW.id, searchable(NEW.text));
    END;
    CREATE TRIGGER caption_changed AFTER UPDATE OF text ON captions BEGIN
        UPDATE caption_words SET text = searchable(NEW.text) WHERE rowid = NEW.id;
    END;
    CREATE TRIGGER caption_removed AFTER DELETE ON captions BEGIN
        DELETE FROM caption_words WHERE rowid = OLD.id;
    END;

    ALTER TABLE sidecars ADD COLUMN has_tags INTEGER NOT NULL DEFAULT 1;
    ALTER TABLE sidecars ADD COLUMN has_caption INTEGER NOT NULL DEFAULT 0;
    """,
    # What the owner decided of duplicates. A pick is of one file, as copies share their content,
    # and only as long as that file has the content that was looked at.
    """
    CREATE TABLE picks (
        file_id INTEGER PRIMARY KEY REFERENCES files ON DELETE CASCADE,
        content TEXT NOT NULL, -- in hex: JSON, and so the journal, holds no octets
        at TEXT NOT NULL
    ) STRICT;
    CREATE VIEW picked AS
        SELECT file_id, size_bytes, picks.at FROM picks JOIN files ON files.id = file_id
        WHERE content = hex(last_hash) AND missing_since IS NULL;

    -- Contents of one saying with other members are no duplicates of each other; those of the
    -- same member, if it has several files, neither.
    CREATE TABLE not_duplicates (
        hash BLOB NOT NULL,
        said TEXT NOT NULL,
        member INTEGER NOT NULL,
        is_several INTEGER NOT NULL,
        at TEXT NOT NULL,
        PRIMARY KEY (hash, said)
    ) STRICT, WITHOUT ROWID;

    -- What was carried to a photo from its copies, beside tags and captions.
    CREATE TABLE carried (
        hash BLOB NOT NULL,
        name TEXT NOT NULL CHECK (name IN ('rating', 'date')),
        value TEXT NOT NULL,
        at TEXT NOT NULL,
        PRIMARY KEY (hash, name)
    ) STRICT, WITHOUT ROWID;
    ALTER TABLE sidecars ADD COLUMN has_carried INTEGER NOT NULL DEFAULT 0;
    -- A carried date is that of photos which have none; -3 stands for no sidecar's time.
    CREATE TRIGGER date_carried AFTER INSERT ON carried WHEN NEW.name = 'date' BEGIN
        UPDATE files SET taken_at = NEW.value, sidecar_stamp = -3
        WHERE last_hash = NEW.hash AND taken_at IS NULL;
    END;
    CREATE TRIGGER date_taken_back AFTER DELETE ON carried WHEN OLD.name = 'date' BEGIN
        UPDATE files SET taken_at = NULL, sidecar_stamp = -3
        WHERE last_hash = OLD.hash AND taken_at = OLD.value AND sidecar_stamp IS NOT NULL;
    END;

    CREATE INDEX files_by_date ON files (taken_at, missing_since);

    ALTER TABLE edits ADD COLUMN undoes INTEGER; -- the edit that was taken back
    -- Files with an edit that their sidecars do not say yet.
    CREATE TABLE sidecars_behind (
        file_id INTEGER PRIMARY KEY REFERENCES files ON DELETE CASCADE
    ) STRICT;

    -- Counts changes of what lists of all photos are made of, so that they are made anew only then.
    INSERT INTO settings VALUES ('photos_version', '0');
    CREATE TRIGGER photo_added AFTER INSERT ON files BEGIN
        UPDATE settings SET value = value + 1 WHERE name = 'photos_version';
    END;
    CREATE TRIGGER photo_changed AFTER UPDATE OF path, shot, taken_at, missing_since, error,
    signature ON files BEGIN
        UPDATE settings SET value = value + 1 WHERE name = 'photos_version';
    END;
    CREATE TRIGGER photo_removed AFTER DELETE ON files BEGIN
        UPDATE settings SET value = value + 1 WHERE name = 'photos_version';
    END;
    CREATE TRIGGER vector_added AFTER INSERT ON vectors BEGIN
        UPDATE settings SET value = value + 1 WHERE name = 'photos_version';
    END;
    CREATE TRIGGER vector_changed AFTER UPDATE ON vectors BEGIN
        UPDATE settings SET value = value + 1 WHERE name = 'photos_version';
    END;
    CREATE TRIGGER vector_removed AFTER DELETE ON vectors BEGIN
        UPDATE settings SET value = value + 1 WHERE name = 'photos_version';
    END;
    """,
)


def default_path() -> Path:
    """Where a library is unless it is said: ``~/Library/Application Support`` on a Mac."""
    from platformdirs import user_data_path  # noqa: PLC0415

    return user_data_path("mlx-aimv2") / "library.db"


def open_database(path: Path, *, can_write: bool) -> sqlite3.Connection:
    """Open a library's database; make it, or bring it up to date, where one may write.

    Errors: OutputError for a file that is something else, or of a newer version.
    """
    if not can_write and not path.exists():
        raise OutputError(f"there is no library {printable(path)}", hint=index_command(path))
    with database_errors(path):
        mode = "rwc" if can_write else "rw"  # also a reader of a WAL makes its -shm file
        if not can_write and _is_settled(path):
            mode = "ro&immutable=1"
        address = f"{Path(absolute(path)).as_uri()}?mode={mode}"
        connection = sqlite3.connect(
            address,
            uri=True,
            isolation_level=None,
            timeout=_BUSY_MS / 1000,
            check_same_thread=False,
        )
        try:
            _check(connection, path, can_write=can_write)
            connection.execute("PRAGMA foreign_keys = ON")
            connection.create_function("casefold", 1, str.casefold, deterministic=True)
            connection.create_function("fold", 1, fold, deterministic=True)
            connection.create_function("tag_key", 1, tag_key, deterministic=True)
            connection.create_function("searchable", 1, searchable, deterministic=True)
            connection.create_function("folder_of", 1, os.path.dirname, deterministic=True)
            connection.create_function("from_hex", 1, bytes.fromhex, deterministic=True)
            if can_write:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = NORMAL")
                # 64 MB at most: tags by name lie all over their index.
                connection.execute("PRAGMA cache_size = -65536")
                _migrate(connection)
            else:
                connection.execute("PRAGMA query_only = ON")
        except BaseException:
            connection.close()
            raise
    return connection


def _is_settled(path: Path) -> bool:
    """Whether it cannot be written from here, where no WAL could be made, and nobody writes it."""
    effective = os.access in os.supports_effective_ids
    writable = (os.access(each, os.W_OK, effective_ids=effective) for each in (path, path.parent))
    return not all(writable) and not path.with_name(f"{path.name}-wal").exists()


@contextmanager
def database_errors(path: Path) -> Iterator[None]:
    """SQLite's errors, said in plain words with the library's name."""
    try:
        yield
    except sqlite3.OperationalError as error:
        text = str(error)
        hint = "look who may read and write there: ls -l"
        if "full" in text or "disk I/O" in text:
            hint = (
                "make room on the disk, and on that of temporary files, and run the command again: "
                "what was done before is kept"
            )
        elif "locked" in text:
            hint = "another program holds it: wait until it has ended"
        raise OutputError(f"library {printable(path)}: {text}", hint=hint) from error
    except sqlite3.DatabaseError as error:
        raise OutputError(
            f"library {printable(path)}: {error}",
            hint="is it a library of aimv2? choose another file with --library",
        ) from error


def _check(connection: sqlite3.Connection, path: Path, *, can_write: bool) -> None:
    version = _pragma(connection, "user_version")
    if version > len(MIGRATIONS):
        raise OutputError(
            f"library {printable(path)} was made by a newer version",
            hint=f"get the newer version, then: {install_hints.again()}",
        )
    tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    if tables and _pragma(connection, "application_id") != APPLICATION_ID:
        raise OutputError(
            f"{printable(path)} is a database of another program",
            hint="choose another file with --library",
        )
    if version < len(MIGRATIONS) and not can_write:
        reason = "was made by an older version" if tables else "is empty"
        raise OutputError(f"library {printable(path)} {reason}", hint=index_command(path))


def index_command(path: Path) -> str:
    return command_for("aimv2 index FOLDER", path)


def command_for(command: str, path: Path) -> str:
    """A command as it is typed for a library."""
    return command if path == default_path() else f"{command} --library {quote(printable(path))}"


def _migrate(connection: sqlite3.Connection) -> None:
    for number in range(_pragma(connection, "user_version"), len(MIGRATIONS)):
        connection.executescript(
            f"BEGIN IMMEDIATE; {MIGRATIONS[number]}"
            f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {number + 1}; COMMIT;"
        )
    connection.create_function("shot_key", 1, shot_key)
    connection.execute("UPDATE files SET shot = shot_key(path) WHERE shot IS NULL")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])
