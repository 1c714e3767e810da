"""Let `python -m bistable.client.daemon` be the service, too."""

from bistable.client.daemon import main

main()
