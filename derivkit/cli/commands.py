"""The table of commands; the help, the parser and the dispatch all read it."""

from __future__ import annotations

from derivkit.cli.arguments import Command, Option
from derivkit.layout import LAYOUTS

#: The kinds of ``derive`` (``derivkit.symbolic.derive.kinds.KINDS``, which costs SymPy to import; a test holds them equal).
KINDS = ("gradient", "jacobian", "vjp", "jvp", "hessian", "hvp")

#: What ``check`` holds a function's claimed derivative to be (``derivkit.checking.many.KINDS``; a test holds them equal).
CHECKS = ("gradient", "vjp", "jvp", "jacobian")

#: What ``train`` does when it is not told otherwise.
NET, EPOCHS, BATCH_SIZE, RATE, SEED = "two_layer_tanh", 30, 32, 0.5, 0

_PROGRAM = "the program's text; - reads it from standard input"
_FILE = Option("--file", "PATH", "read the program from a file")
_WRT = Option("--wrt", "NAMES", "differentiate with respect to these names, separated by commas")
_SHAPE = Option("--shape", "NAME=SIZES", "declare a name: W1=M,D or 't=onehot K' (repeats)", repeats=True)
_KIND = Option("--kind", "KIND", "what to derive (default: by the output's shape)", KINDS)
_ALONG = Option("--along", "NAMES", "the directions of a jvp or an hvp, one for each of --wrt (default: NAME_dot)")
_OUTPUT = Option("--output", "FILE", "write to a file instead of standard output", short="-o")

#: Every command has these.
COMMON = (
    Option("--help", "", "show this help", short="-h"),
    Option("--debug", "", "show the traceback of an error"),
)

COMMANDS: tuple[Command, ...] = (
    Command(
        "derive",
        "Derive a gradient, a Jacobian, a Hessian or a product with them at symbolic sizes, step by step.",
        "PROGRAM",
        _PROGRAM,
        (
            _WRT,
            _FILE,
            _SHAPE,
            _KIND,
            _ALONG,
            Option("--at", "VALUES", "also the value and derivatives of every node at a point: 'x0=1, w=[0.3, 0.1]'"),
            Option("--layout", "LAYOUT", "the axis order of a derivative (default: mixed)", LAYOUTS),
            Option("--notation", "NOTATION", "how to write the result (default: both)", ("index", "matrix", "both", "operator")),
            Option("--steps", "STEPS", "how many of the steps to print (default: full)", ("full", "brief", "none")),
            Option("--lemmas", "", "append each lemma with its proof"),
            Option("--style", "STYLE", "write a Jacobian with δ (default), or by cases", ("delta", "cases")),
            Option(
                "--format",
                "FORMAT",
                "default: text; latex is a fragment for amsmath, html a page of its own",
                ("text", "latex", "markdown", "html", "json", "python", "program"),
            ),
            Option("--title", "TEXT", "what stands above the derivation"),
            Option("--label", "NAME=TEX", "print a name so: 'W1=\\mathbf{W}_1' (repeats)", repeats=True),
            _OUTPUT,
            *COMMON,
        ),
        "derivkit.cli.derive",
    ),
    Command(
        "kernel",
        "Print the NumPy module that computes the program and its gradients.",
        "PROGRAM",
        _PROGRAM,
        (
            _WRT,
            _FILE,
            _SHAPE,
            _KIND,
            _ALONG,
            Option("--batch", "NAMES", "inputs with a batch axis in front, separated by commas"),
            Option("--reduce", "HOW", "how the loss of a batch is reduced (default: mean)", ("mean", "sum")),
            _OUTPUT,
            *COMMON,
        ),
        "derivkit.cli.kernel",
    ),
    Command(
        "cost",
        "Count parameters, operations and bytes, per node and in total.",
        "PROGRAM",
        _PROGRAM,
        (
            Option("--wrt", "NAMES", "the inputs that are learned (default: all but x, X, t, y, data, ...)"),
            _FILE,
            _SHAPE,
            Option("--batch", "NAMES", "inputs with a batch axis in front, separated by commas"),
            Option("--sizes", "SIZES", "numbers for sizes: 'D=784, N=64'"),
            Option("--dtype", "TYPE", "what an entry is (default: float64)", ("float16", "float32", "float64")),
            _OUTPUT,
            *COMMON,
        ),
        "derivkit.cli.cost",
    ),
    Command(
        "check",
        "Check gradients against differences: a program's, your own for it, or your functions' own.",
        "PROGRAM",
        "a program (-: from standard input), or module:function module:gradient",
        (
            Option("--wrt", "NAMES", "of a program: check the gradients with respect to these names"),
            Option("--data", "FILE", "of a program: its inputs, and your gradients as grad_NAME (.npz .json .csv .npy)"),
            _FILE,
            _SHAPE,
            Option("--batch", "NAMES", "inputs with a batch axis in front, separated by commas"),
            Option("--reduce", "HOW", "how the loss of a batch is reduced (default: mean)", ("mean", "sum")),
            Option("--args", "FILE", "of functions: their arguments by name (.npz .json .csv .npy)"),
            Option("--kind", "KIND", "of functions: what the second one is (default: gradient)", CHECKS),
            Option("--rtol", "X", "of functions: let a gradient be off by this share of its norm (default: 0)"),
            Option("--seed", "N", "of functions: the seed of the directions (default: 0)"),
            Option("--format", "FORMAT", "default: text", ("text", "json")),
            _OUTPUT,
            *COMMON,
        ),
        "derivkit.cli.check",
        second="GRADIENT",
    ),
    Command(
        "verify",
        "Verify the formulas of documents, line by line.",
        "FILE",
        "LaTeX, Markdown or text; a directory for those in it; - for standard input",
        (
            Option("--shape", "NAME=KIND SIZES", "say what a name is: W=K,M or 't=onehot K' (repeats)", repeats=True),
            Option("--strict", "", "exit with 1 also where something could not be read or decided"),
            Option("--jobs", "N", "how many documents to verify at a time (default: 1)"),
            Option("--explain", "LINE", "derivkit's own derivation of the formula in that line, beside the author's"),
            Option(
                "--format",
                "FORMAT",
                "default: text; html is a page of its own, gradescope a results.json",
                ("text", "json", "html", "gradescope"),
            ),
            Option("--points", "N", "of gradescope: what a document without a wrong line is worth (default: 1)"),
            _OUTPUT,
            *COMMON,
        ),
        "derivkit.cli.verify",
        many=True,
    ),
    Command(
        "gallery",
        "List the textbook programs, or print one, ready to pipe.",
        "NAME",
        "the program to print; without it, the list",
        (_OUTPUT, *COMMON),
        "derivkit.cli.gallery",
    ),
    Command(
        "train",
        "Train a network on data with the kernel that derivkit derives for it.",
        "",
        "",
        (
            Option("--net", "PROGRAM|NAME", f"a program of x and t, or a name of the gallery (default: {NET})"),
            Option("--data", "digits|FILE", "the digits that ship with derivkit (default), or .npz, .csv, .npy or IDX"),
            Option("--labels", "FILE", "the labels, where they are in a file of their own that --data does not find"),
            Option("--epochs", "N", f"how many times to go through the data (default: {EPOCHS})"),
            Option("--batch-size", "N", f"how many samples to a step (default: {BATCH_SIZE})"),
            Option("--lr", "RATE", f"the learning rate (default: {RATE})"),
            Option("--momentum", "M", "from 0 to below 1, as in torch.optim.SGD (default: 0)"),
            Option("--weight-decay", "C", "how much of each parameter is added to its gradient (default: 0)"),
            Option("--seed", "N", f"the seed of the start and of the shuffling (default: {SEED})"),
            Option("--sizes", "SIZES", "sizes that the data do not fix: 'M=100' (default: 64 each)"),
            Option("--save", "FILE.npz", "write the parameters of the last finished epoch, also after Ctrl-C"),
            Option("--resume", "FILE.npz", "start from parameters that --save has written"),
            Option("--plot", "FILE.svg|png", "draw loss and accuracy by epoch (needs matplotlib)"),
            _OUTPUT,
            *COMMON,
        ),
        "derivkit.cli.train",
    ),
)
