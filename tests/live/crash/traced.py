"""`python -m crash.traced ARGUMENTS`: the `ctemplate` command, which says where it syncs. To be run below strace."""

from crash.sites import announce

if __name__ == "__main__":
    announce()
    from ctemplate.cli import main

    main()
