r"""What the commands and signs of formulas are: one row for each, no meaning beyond what is seen."""

from __future__ import annotations

_PLAIN = """alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa mu nu xi pi varpi rho varrho sigma
varsigma tau upsilon phi varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega ell hbar imath jmath
aleph wp""".split()
#: Commands that are a letter, with its ASCII name.
LETTERS = {
    **{name: name for name in _PLAIN},
    **{"lambda": "lambda", "infty": "infty", "emptyset": "emptyset", "varnothing": "emptyset", "Re": "Re", "Im": "Im"},
    **{"eps": "epsilon", "bigtriangleup": "Delta", "triangle": "Delta", "top": "top", "bot": "bot", "dagger": "dagger"},
    **{"star": "star", "ast": "ast", "intercal": "top", "dag": "dagger", "square": "square"},
}
GREEK_SIGNS = {
    **{"α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "epsilon", "ϵ": "epsilon", "ζ": "zeta", "η": "eta"},
    **{"θ": "theta", "ι": "iota", "κ": "kappa", "λ": "lambda", "μ": "mu", "µ": "mu", "ν": "nu", "ξ": "xi", "π": "pi"},
    **{"ρ": "rho", "σ": "sigma", "τ": "tau", "φ": "phi", "ϕ": "phi", "χ": "chi", "ψ": "psi", "ω": "omega", "Γ": "Gamma"},
    **{"Δ": "Delta", "Θ": "Theta", "Λ": "Lambda", "Ξ": "Xi", "Π": "Pi", "Σ": "Sigma", "Φ": "Phi", "Ψ": "Psi"},
    **{"Ω": "Omega", "ℓ": "ell", "∞": "infty"},
}
#: Relations: what is written, and its row in :class:`~derivkit.symbolic.notes.formula.Relation`.
RELATIONS = {
    **dict.fromkeys(("=", "Relbar"), "="),
    **dict.fromkeys((":=", "coloneqq", "coloneq", "triangleq", "defeq", "eqdef", "stackrel:="), ":="),
    **dict.fromkeys(("equiv", "≡"), "=="),
    **dict.fromkeys(("leftarrow", "gets", "longleftarrow", "Leftarrow", "←"), "<-"),
    **dict.fromkeys(("neq", "ne", "≠", "!="), "!="),
    **dict.fromkeys(("<", "lt"), "<"),
    **dict.fromkeys((">", "gt"), ">"),
    **dict.fromkeys(("le", "leq", "leqslant", "leqq", "≤", "<="), "<="),
    **dict.fromkeys(("ge", "geq", "geqslant", "geqq", "≥", ">="), ">="),
    **dict.fromkeys(("ll", "gg", "lesssim", "gtrsim"), "approx"),
    **dict.fromkeys(("in", "∈"), "in"),
    **dict.fromkeys(("subset", "subseteq", "⊂", "⊆"), "sub"),
    **dict.fromkeys(("approx", "approxeq", "simeq", "cong", "doteq", "≈", "≃"), "approx"),
    **dict.fromkeys(("propto", "varpropto", "∝"), "propto"),
    **dict.fromkeys(("sim", "∼", "succeq", "preceq", "succ", "prec", "supset", "supseteq", "perp", "notin"), "sim"),
    **dict.fromkeys(("to", "rightarrow", "longrightarrow", "mapsto", "longmapsto", "→", "↦"), "->"),
}
#: Signs between whole relations: what stands on either side is a statement of its own.
ARROWS = set(
    """implies impliedby Rightarrow Longrightarrow Leftrightarrow Longleftrightarrow iff leftrightarrow longleftrightarrow
    therefore because leadsto rightsquigarrow ⇒ ⇔ ∴ ⟹ ⟺""".split()
)
#: Signs of a product, and what the tree calls them.
PRODUCTS = {
    **dict.fromkeys(("cdot", "·", "⋅", "bullet", "∙"), "cdot"),
    **dict.fromkeys(("times", "×"), "times"),
    **dict.fromkeys(("otimes", "⊗"), "otimes"),
    **dict.fromkeys(("odot", "⊙", "bigodot"), "odot"),
    **dict.fromkeys(("circ", "∘"), "circ"),
    **dict.fromkeys(("*", "ast", "∗"), "ast"),
    **dict.fromkeys(("circledast", "⊛"), "circledast"),
    **dict.fromkeys(("oslash", "⊘"), "oslash"),
}
#: Signs of one character that stand for a command.
SIGNS: dict[str, str] = {
    **{"−": "-", "–": "-", "∂": r"\partial", "∇": r"\nabla", "∑": r"\sum", "∏": r"\prod", "√": r"\sqrt", "…": r"\dots"},
    **{"⋯": r"\dots", "⟨": r"\langle", "⟩": r"\rangle", "‖": r"\|", "∥": r"\|", "′": "'", "″": "''", "∀": r"\forall"},
    **{
        "、": ",",
        "。": " ",
        "⊤": r"\top",
        "ᵀ": r"^\top",
        "∣": "|",
        "⌊": r"\lfloor",
        "⌋": r"\rfloor",
        "⌈": r"\lceil",
        "⌉": r"\rceil",
    },
    **{c: f"^{i}" for i, c in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹")},
    **{c: f"_{i}" for i, c in enumerate("₀₁₂₃₄₅₆₇₈₉")},
    **{"ᵢ": "_i", "ⱼ": "_j", "ₖ": "_k", "ₙ": "_n", "ₘ": "_m", "ₗ": "_l", "ₜ": "_t", "⁻": "^-", "½": r"\frac{1}{2}"},
}
#: Functions that take what follows without brackets.
FUNCTIONS = set(
    """exp ln log lg sin cos tan cot sec csc sinh cosh tanh coth arcsin arccos arctan arctanh artanh det tr trace Tr diag vec
    rank sign sgn erf sech dim ker deg gcd Pr
    argmax argmin softmax sigmoid relu ReLU""".split()
)
#: Functions written as a command of their own.
FUNCTION_COMMANDS = set(
    "exp ln log lg sin cos tan cot sec csc sinh cosh tanh coth arcsin arccos arctan det dim ker deg gcd Pr".split()
)
#: Runs of letters that are one word where they stand bare in a formula.
WORDS = FUNCTIONS | set(
    """Softmax SoftMax Sigmoid Relu RELU LeakyReLU softplus Softplus gelu GELU silu swish elu selu logsumexp LSE
    LogSoftmax log_softmax max min Tanh concat Concat
    MSE CE BCE NLL KL SGD RSS SSE loss Loss cost error target label input output net out pred true total score bias weight
    logits hidden data batch mean var std Var Cov Cost Error hinge step onehot norm conv pool flatten kernel grad
    sum prod argmax argmin new old rot Attention softargmax LayerNorm BatchNorm lr""".split()
)
#: What is called with square brackets too: ``E[x]``.
BRACKETED = WORDS | {"E", "V", "P", "H"}
#: Runs of letters that are prose where they stand bare in a formula.
PROSE = set("and or if for where otherwise when with then else since while thus hence so let".split())
#: Words that are a remark where they stand in ``\text{...}``.
REMARKS = PROSE | set("from by using note such st given as with is are on the to of in because see via i.e e.g subject".split())
#: Words below or above a letter that are a part of its name.
LABEL_WORDS = (WORDS - {"ln", "lg", "tr", "sg"}) | set(
    """max min in out new old true pred opt avg tot ref reg train test val init final last next prev best data model gt obs err
    hid inp act lin res rec img cls ctx enc dec src tgt dst pos neg real fake gen disc body head tail left right top bottom fc
    conv emb attn ffn mlp total error""".split()
)
FONTS = {
    **dict.fromkeys("mathbf boldsymbol bm bold pmb vec underline mathbold symbf bf boldmath vb vec*".split(), "bold"),
    **dict.fromkeys(("mathcal", "mathscr", "cal", "mathfrak"), "cal"),
    **dict.fromkeys(("mathbb", "mathbbm", "Bbb", "mathds"), "bb"),
    **dict.fromkeys("mathrm mathit mathsf mathtt rm it sf tt symup mathnormal".split(), "text"),
}
TEXTS = set("text textrm textbf textit textsf texttt mbox textnormal textup emph hbox textsc".split())
OPERATORS = {"operatorname", "operatorname*", "mathop", "DeclareMathOperator"}
ACCENTS = {
    **dict.fromkeys(("hat", "widehat", "^"), "hat"),
    **dict.fromkeys(("bar", "overline"), "bar"),
    **dict.fromkeys(("tilde", "widetilde", "~"), "tilde"),
    **{"dot": "dot", "ddot": "ddot", "check": "check", "breve": "breve", "mathring": "ring", "overrightarrow": "vec"},
}
#: Commands without meaning here, with the number of their arguments, which are dropped too.
SILENT = {
    **dict.fromkeys(
        r""", ! ; : > / [ ] ( ) displaystyle textstyle scriptstyle scriptscriptstyle limits nolimits nonumber notag allowbreak
        big Big bigg Bigg bigl Bigl
        biggl Biggl bigr Bigr biggr Biggr bigm Bigm biggm Biggm middle noindent hfill hline strut
        relax thinspace negthinspace negmedspace medspace thickspace enspace newline centering break nobreak small large
        normalsize
                footnotesize Large qed blacksquare Box unboldmath par mathstrut bigstrut vfill hfil null protect mathord
        mathbin mathrel mathopen mathclose mathpunct""".split(),
        0,
    ),
    **dict.fromkeys("label tag tag* ref eqref cite hspace vspace hspace* vspace* phantom hphantom vphantom color".split(), 1),
    **dict.fromkeys("intertext shortintertext footnote mskip kern hskip mkern cline".split(), 1),
    **dict.fromkeys("setcounter addtocounter rule raisebox".split(), 2),
}
#: Commands whose argument stands for itself, with what goes before it and is dropped.
TRANSPARENT = {
    **dict.fromkeys("boxed fbox ensuremath smash bcancel xcancel sout hcancel".split(), 0),
    **dict.fromkeys("textcolor colorbox fcolorbox overset underset stackrel".split(), 1),
}
#: Boxes of no width: what they hold stands for itself.
BOXES = {"rlap", "llap", "clap", "mathrlap", "mathllap", "mathclap"}
SPACES = {"quad", "qquad", "hfill", "hspace"}
DOTS = {"dots", "ldots", "cdots", "vdots", "ddots", "dotsc", "dotsb", "dotsm", "dotso", "hdots", "iddots"}
#: Environments whose rows are rows of the formula.
ROWS = set(
    """equation align aligned gather gathered split eqnarray multline displaymath flalign alignat alignedat math subequations
    dmath IEEEeqnarray multlined""".split()
)
MATRICES = {"matrix": "", "pmatrix": "()", "bmatrix": "[]", "Bmatrix": "{}", "vmatrix": "|", "Vmatrix": "‖", "smallmatrix": ""}
CASES = {"cases", "dcases", "rcases", "drcases", "numcases"}
ARRAYS = {"array", "darray", "tabular"}
OPENERS = {"(": ")", "[": "]", "\\{": "\\}", "\\langle": "\\rangle", "\\lfloor": "\\rfloor", "\\lceil": "\\rceil"}
DELIMITERS = {
    **{"lparen": "(", "rparen": ")", "lbrack": "[", "rbrack": "]", "lbrace": "\\{", "rbrace": "\\}"},
    **{"langle": "\\langle", "rangle": "\\rangle", "lfloor": "\\lfloor", "rfloor": "\\rfloor"},
    **{"lceil": "\\lceil", "rceil": "\\rceil", "vert": "|", "lvert": "|", "rvert": "|", "mid": "|", "Vert": "\\|"},
    **{"lVert": "\\|", "rVert": "\\|", "|": "\\|", "parallel": "\\|", "{": "\\{", "}": "\\}"},
}
#: Commands that would make TeX read, write or run something: never followed.
FORBIDDEN = set(
    """input include write write18 immediate openin openout read usepackage documentclass catcode csname endcsname loop
    directlua luaexec ShellEscape expandafter special verbatiminput lstinputlisting includegraphics newwrite
    InputIfFileExists jobname""".split()
)
FRACTIONS = {"frac", "dfrac", "tfrac", "cfrac", "nicefrac", "sfrac", "flatfrac"}
BIG = {"sum": "sum", "prod": "prod", "max": "max", "min": "min"}
#: Environments and runs outside of which a formula with the command below is refused, with the reason.
NOT_READ = {
    **dict.fromkeys(("int", "iint", "iiint", "oint", "intop"), "an integral"),
    **dict.fromkeys(("lim", "limsup", "liminf"), "a limit"),
    **dict.fromkeys(("pm", "mp"), "a sign left open (plus or minus)"),
    **dict.fromkeys(
        ("cup", "cap", "setminus", "bigcup", "bigcap", "wedge", "vee", "neg", "lnot", "exists", "nexists"), "logic or sets"
    ),
    **dict.fromkeys(
        ("oplus", "ominus", "boxtimes", "bigoplus", "bigotimes", "coprod", "star"), "an operation without one meaning"
    ),
}
