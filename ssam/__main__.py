from ssam.cli import main

raise SystemExit(main())
