"""``aimv2 …`` where no file may grow over so many bytes: a full disk for everybody."""

import resource
import sys

from mlx_aimv2.cli.app import main

if __name__ == "__main__":
    limit = int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    sys.exit(main(sys.argv[2:]))
