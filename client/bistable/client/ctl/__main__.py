"""Let `python -m bistable.client.ctl` be the command, too."""

from bistable.client.ctl import main

main()
