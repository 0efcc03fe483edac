"""``aimv2 teach``: a tag of your own, taught by photos."""

from dataclasses import asdict, dataclass
from shlex import quote
from typing import TYPE_CHECKING

from mlx_aimv2.errors import Aimv2Error, UsageError
from mlx_aimv2.options import argument, option

from . import output
from .exit_codes import exit_code
from .options import HTML, JSON, LIBRARY, OPEN, YES, confirm_download
from .sheets import target_of, write

if TYPE_CHECKING:
    from mlx_aimv2.library.teaching.teacher import Question, Taught

EXAMPLES = """
aimv2 teach "Luna" --yes a.jpg b.jpg --no c.jpg
aimv2 teach "Luna" --words "our brown dog" --yes a.jpg
aimv2 teach "Luna" --ask 12 --html luna.html --open
aimv2 teach "Luna" --status
"""
GROUPS = {
    "What teaches": "--yes --no --words --no-words",
    "What to do next": "--ask --status --html --open",
    "Library": "--library",
}
_FEW = 4  # photos: with fewer a tag's name counts as a rule, whatever they show
SEVERAL = ("--yes", "--no")  # options that take all words up to the next option


@dataclass(frozen=True)
class Options:
    """What ``aimv2 teach`` takes."""

    tag: str = argument(help="The tag, like Luna or Pets|Luna.", metavar="TAG")
    yes: tuple[str, ...] = option((), help="Photos that have the tag.", metavar="FILE…")
    no: tuple[str, ...] = option(
        (), help="Photos that do not have the tag; they never get it.", metavar="FILE…"
    )
    words: str | None = option(
        help="What the tag looks like, in words.", metavar="TEXT", show_default="its name"
    )
    no_words: bool = option(
        False, help="Teach by photos alone, where words would only mislead.", flags="--no-words"
    )
    ask: int | None = option(
        help="List so many photos whose answer helps most.", min=1, metavar="COUNT"
    )
    status: bool = option(False, help="Tell how far the tag is.", flags="--status")
    html: str | None = HTML(help="Write a sheet of the asked photos, with the commands to paste.")
    is_open: bool = OPEN()
    library: str | None = LIBRARY()
    as_json: bool = JSON()
    confirm: bool = YES(flags="--download -y")


def teach(options: Options) -> int:
    """Teach a tag of your own by photos with it and without it, and tag the others by that.

    Each answer counts at once, is kept for good and can be undone (aimv2 tag history). This is no
    face recognition: two dogs that look alike will be confused, and so will people.
    """
    _check(options)
    html = target_of(options.html, options.is_open, "teach")
    from mlx_aimv2.library.library import Library  # noqa: PLC0415  (heavy)

    confirm = confirm_download(options.confirm)
    unknown: list[Aimv2Error] = []
    with Library(options.library) as opened:
        if _teaches(options):
            taught = opened.teach(
                options.tag,
                yes=options.yes,
                no=options.no,
                words=False if options.no_words else options.words,
                confirm=confirm,
                skipped=unknown.append,
            )
            for error in unknown:
                output.skipped(error)
            if taught is None:
                output.say(
                    "kept: it counts once the index that is running has ended; "
                    f"then aimv2 tag gives {options.tag} to other photos"
                )
                return exit_code(1, len(unknown))
            if not options.status:
                output.say(_summary(taught))
                is_name = taught.words == taught.tag.rpartition("|")[2]
                if taught.follows_words and is_name and taught.yes in range(1, _FEW):
                    output.note(
                        f"the name counts as words too: --no-words where {taught.words} says "
                        "nothing of the looks"
                    )
        if options.status:
            _tell(opened.taught(options.tag, confirm=confirm), as_json=options.as_json)
        if options.ask:
            asked = opened.questions(options.tag, options.ask, confirm=confirm)
            _list(asked, options, html)
    return exit_code(1, len(unknown))


def _check(options: Options) -> None:
    if options.words is not None and options.no_words:
        raise UsageError("--words and --no-words cannot be combined", hint="leave one of them out")
    if options.html and not options.ask:
        raise UsageError(
            "--html is a sheet of photos to ask about",
            hint="aimv2 teach TAG --ask 12 --html FILE",
        )
    if options.is_open and not options.ask:
        raise UsageError("--open needs --ask", hint="aimv2 teach TAG --ask 12 --open")


def _teaches(options: Options) -> bool:
    """Whether anything is said of the tag, or its name alone, which then teaches by its words."""
    says = options.yes or options.no or options.no_words or options.words is not None
    return bool(says) or not (options.status or options.ask)


def _summary(taught: "Taught") -> str:
    text = f"{taught.tag}: {output.counted(taught.yes, 'photo')} with it, {taught.no} without; "
    command = f"aimv2 teach {quote(taught.tag)}"
    if not (taught.yes or taught.follows_words):
        return f"{text}there is nothing to go by yet: {command} --yes photo.jpg"
    text += f"given to {output.counted(taught.given, 'other photo')}"
    if not taught.yes:
        text += " by its words"
    return text if taught.yes and taught.given else f"{text}; teach it with: {command} --ask 12"


def _tell(taught: "Taught", *, as_json: bool) -> None:
    if as_json:
        output.record(asdict(taught) | {"expected": round(taught.expected, 1)})
        return
    by = f'the words "{taught.words}"' if taught.follows_words else "photos alone"
    if taught.yes and taught.words and not taught.follows_words:
        by += f', not by the words "{taught.words}"'
    rows = [
        ("taught by", by + (" and photos" if taught.follows_words and taught.yes else "")),
        ("photos with it", str(taught.yes)),
        ("photos without it", str(taught.no)),
    ]
    if taught.found_again is not None:
        rows.append(("found by what the others teach", f"{taught.found_again} of {taught.yes}"))
    if taught.kept_out is not None:
        rows.append(("kept out by what the others teach", f"{taught.kept_out} of {taught.no}"))
    likely = f", of which about {taught.expected:.0f} have it"
    rows += [
        ("given to", str(taught.given) + likely * bool(taught.given)),
        ("in doubt", f"{taught.doubtful} (aimv2 teach {quote(taught.tag)} --ask 12)"),
    ]
    output.table(rows, (taught.tag, ""))


def _list(asked: "list[Question]", options: Options, html: str | None) -> None:
    from mlx_aimv2.files.path_text import escape  # noqa: PLC0415

    if html:
        from mlx_aimv2.files.paths import absolute  # noqa: PLC0415
        from mlx_aimv2.library.contact_sheet import SheetRow  # noqa: PLC0415

        command = f"aimv2 teach {quote(options.tag)}"
        if options.library:  # from whatever folder the command is typed
            command += f" --library {quote(absolute(options.library))}"
        rows = (
            SheetRow(
                each.file,
                each.score,
                commands=tuple(f"{command} {said} {quote(each.path)}" for said in SEVERAL),
            )
            for each in asked
        )
        write(html, f"Is this {options.tag}?", rows=rows, is_open=options.is_open)
        return
    for each in asked:
        if options.as_json:
            output.record({"path": escape(each.path), "score": round(each.score, 4)})
        else:
            output.table([(each.path,)])
    if not asked:
        output.say("there is no photo left to ask about")
