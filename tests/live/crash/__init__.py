"""Every state that a crash may leave of a commit, laid out on disk, and the real recovery run on each.

Killing a process shows what its death leaves; it does not show what a power failure leaves, because all that
was written is still in the kernel's cache. That takes a model:

    recording   strace writes down what a real `ctemplate` does to its files, call by call
    disk        a disk that owes nothing that was not synced: which states may it be in after so many calls?
    layout      a state of the model as real files, and back
    scenario    what is committed, and what a recovery must have made of it
    recovering  the real recovery, one state after the other, in a process that is recorded as well
    exploring   all of it together, with crashes inside the recovery, and inside the recovery after that
    sites       where the code calls fsync: leaving any one of them out must be found (the mutation test)

The disk is weaker than any file system that is in use: entries of a directory reach it one by one, in any
order, until the directory is synced; a file's bytes are lost, torn, zeros or whole until it is.
"""
