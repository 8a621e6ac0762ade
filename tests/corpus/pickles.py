"""Samples for the pickle rules, and one stream for each published way past a pickle scanner.

All are inert: what they would call is given words that do nothing, and no test loads one.
"""

import collections
import functools
import operator
import pickle
import uuid
from typing import NamedTuple

CANARY = "true"


def short(text):
    raw = text.encode()
    return b"\x8c" + bytes([len(raw)]) + raw


def text_call(module, name, *args):
    """Protocol 0: GLOBAL, strings, REDUCE."""
    inner = b"".join(b"S" + repr(arg).encode() + b"\n" for arg in args)
    return f"c{module}\n{name}\n(".encode() + inner + b"tR."


def call(module, name, *args, end=b"R."):
    """Protocol 4: STACK_GLOBAL, strings, a tuple, REDUCE."""
    inner = b"".join(short(arg) for arg in args)
    return b"\x80\x04" + short(module) + short(name) + b"\x93(" + inner + b"t" + end


def named(module, name):
    return short(module) + short(name) + b"\x93"


class Sample(NamedTuple):
    """For one rule: a stream it must fire on and a near one it must not."""

    rule: str
    bad: bytes
    good: bytes


SAMPLES = (
    Sample("pickle-runs-shell", call("os", "system", CANARY), pickle.dumps("os.system", 4)),
    Sample("pickle-runs-code", call("builtins", "eval", "1"), pickle.dumps(["eval", "1"], 4)),
    Sample("pickle-imports-module", call("importlib", "import_module", "this"), pickle.dumps(len)),
    Sample("pickle-loads-native-code", call("ctypes", "CDLL", "./x.so"), pickle.dumps(b"\x7fELF")),
    Sample(
        "pickle-reaches-network",
        call("urllib.request", "urlopen", "http://localhost:1"),
        pickle.dumps("http://localhost:1"),
    ),
    Sample("pickle-touches-files", call("shutil", "rmtree", "x"), pickle.dumps({"rmtree": "x"})),
    Sample("pickle-changes-process", call("os", "putenv", "a", "b"), pickle.dumps({"a": "b"})),
    Sample("pickle-calls-unknown", call("acme.tools", "run", "x"), pickle.dumps(uuid.UUID(int=1))),
    Sample(
        "pickle-imports-unknown",
        b"\x80\x04" + named("acme.models", "Net") + b")\x81}b.",
        pickle.dumps(collections.Counter("a")),
    ),
    Sample(
        "pickle-reaches-inside",
        b"\x80\x04"
        + named("builtins", "getattr")
        + named("collections", "OrderedDict")
        + short("__subclasses__")
        + b"\x86R.",
        pickle.dumps(collections.OrderedDict.fromkeys, 4),
    ),
    Sample(
        "pickle-patches-import",
        b"\x80\x04" + named("collections", "OrderedDict") + b"}" + short("get") + b"Nsb.",
        pickle.dumps(collections.OrderedDict(get=None), 4),
    ),
    Sample(
        "pickle-name-unresolved",
        b"\x80\x04"
        + named("builtins", "str")
        + short("os")
        + b"\x85R"
        + short("system")
        + b"\x93.",
        pickle.dumps(str, 4),
    ),
    Sample("pickle-malformed", b"\x80\x04K\x01\xff.", b"\x80\x04K\x01."),
    Sample(
        "pickle-parsers-disagree",
        b"\x80\x04\x95\xff\0\0\0\0\0\0\0K\x01.",
        b"\x80\x04\x95\x03\0\0\0\0\0\0\0K\x01.",
    ),
    Sample("pickle-extension-code", b"\x80\x02\x82\x01.", b"\x80\x02K\x82."),
)


class Bypass(NamedTuple):
    """A published way past a scanner, and the rule that must fire on it."""

    ref: str
    what: str
    data: bytes
    rule: str


SHELL = "pickle-runs-shell"
CODE = "pickle-runs-code"
_SYSTEM = named("os", "system")
_ARGS = short(CANARY) + b"\x85"

STREAMS = (
    Bypass(
        "picklescan#23",
        "names taken from the memo",
        b"\x80\x04"
        + short("os")
        + b"\x94"
        + short("system")
        + b"\x940"
        + b"0h\x00h\x01\x93"
        + _ARGS
        + b"R.",
        SHELL,
    ),
    Bypass(
        "picklescan#23",
        "names from BINPUT and LONG_BINGET",
        b"\x80\x04"
        + short("os")
        + b"q\x050"
        + short("system")
        + b"r\x07\0\0\x000"
        + b"j\x05\0\0\0h\x07\x93"
        + _ARGS
        + b"R.",
        SHELL,
    ),
    Bypass("picklescan#21", "INST", b"(S'true'\nios\nsystem\n.", SHELL),
    Bypass("picklescan#21", "OBJ", b"(cos\nsystem\nS'true'\no.", SHELL),
    Bypass(
        "ghsa:GHSA-9gvj-pp9x-gcfr",
        "STACK_GLOBAL with things in between",
        b"\x80\x04" + short("os") + b"N0" + short("system") + b"K\x010\x93" + _ARGS + b"R.",
        SHELL,
    ),
    Bypass(
        "ghsa:GHSA-9gvj-pp9x-gcfr",
        "STACK_GLOBAL of DUPed and POPped strings",
        b"\x80\x04" + short("os") + b"20" + short("system") + b"(K\x011\x93" + _ARGS + b"R.",
        SHELL,
    ),
    Bypass(
        "arxiv:2508.19774",
        "a memo entry that is not there, after the call",
        b"\x80\x04" + _SYSTEM + _ARGS + b"R0h\x63.",
        SHELL,
    ),
    Bypass(
        "arxiv:2508.19774",
        "the stream breaks off after the call",
        b"\x80\x04" + _SYSTEM + _ARGS + b"R",
        SHELL,
    ),
    Bypass(
        "arxiv:2508.19774",
        "an opcode that is none, after the call",
        b"\x80\x04" + _SYSTEM + _ARGS + b"R\xff\xff",
        SHELL,
    ),
    Bypass(
        "arxiv:2508.19774",
        "an empty stack after the call",
        b"\x80\x04" + _SYSTEM + _ARGS + b"R00000.",
        SHELL,
    ),
    Bypass("arxiv:2508.19774", "protocol 9 after the call", _SYSTEM + _ARGS + b"R\x80\x09.", SHELL),
    Bypass(
        "arxiv:2508.19774",
        "a string that is not quoted, after the call",
        b"cos\nsystem\n(S'true'\ntR0Sx\n.",
        SHELL,
    ),
    Bypass("fickling", "the result is POPped", b"\x80\x04" + _SYSTEM + _ARGS + b"R0N.", SHELL),
    Bypass("fickling", "OBJ and POP", b"\x80\x04(" + _SYSTEM + short(CANARY) + b"o0N.", SHELL),
    Bypass(
        "fickling",
        "the result is dropped by POP_MARK",
        b"\x80\x04(" + _SYSTEM + _ARGS + b"R1N.",
        SHELL,
    ),
    Bypass(
        "fickling",
        "BUILD calls what an earlier BUILD set",
        b"\x80\x04"
        + named("types", "SimpleNamespace")
        + b")\x81}"
        + short("__setstate__")
        + _SYSTEM
        + b"sb"
        + short(CANARY)
        + b"b.",
        SHELL,
    ),
    Bypass(
        "modelscan",
        "APPEND calls what BUILD set",
        b"\x80\x04"
        + named("argparse", "Namespace")
        + b")\x81}"
        + short("append")
        + _SYSTEM
        + b"sb"
        + short(CANARY)
        + b"a.",
        SHELL,
    ),
    Bypass(
        "picklescan",
        "a frame that ends inside an opcode",
        b"\x80\x04\x95\x05\0\0\0\0\0\0\0" + _SYSTEM + _ARGS + b"R.",
        "pickle-parsers-disagree",
    ),
    Bypass("picklescan", "Python 2 names", text_call("__builtin__", "eval", "1"), CODE),
    Bypass(
        "picklescan",
        "Python 2 names of modules that moved",
        text_call("commands", "getoutput", CANARY),
        SHELL,
    ),
    Bypass("picklescan", "arguments that are a list", b"cos\nsystem\n(S'true'\nlR.", SHELL),
    Bypass(
        "picklescan",
        "the line ends with the file: the Python unpickler imports",
        b"cos\nsystemX",
        SHELL,
    ),
    Bypass(
        "ghsa:GHSA-955r-x9j8-7rhh",
        "_operator.attrgetter reaches a function",
        b"\x80\x04"
        + named("_operator", "attrgetter")
        + short("system")
        + b"\x85R"
        + named("builtins", "__import__")
        + short("os")
        + b"\x85R\x85R"
        + _ARGS
        + b"R.",
        SHELL,
    ),
    Bypass(
        "ghsa:GHSA-955r-x9j8-7rhh",
        "_operator.methodcaller calls one",
        b"\x80\x04"
        + named("_operator", "methodcaller")
        + short("system")
        + short(CANARY)
        + b"\x86R"
        + named("builtins", "__import__")
        + short("os")
        + b"\x85R\x85R.",
        SHELL,
    ),
    Bypass(
        "ghsa:GHSA-vvpj-8cmc-gx39",
        "pkgutil.resolve_name",
        b"\x80\x04"
        + named("pkgutil", "resolve_name")
        + short("os:system")
        + b"\x85R"
        + _ARGS
        + b"R.",
        "pickle-imports-module",
    ),
    Bypass(
        "picklescan",
        "getattr on an imported module",
        b"\x80\x04"
        + named("builtins", "getattr")
        + named("builtins", "__import__")
        + short("os")
        + b"\x85R"
        + short("system")
        + b"\x86R"
        + _ARGS
        + b"R.",
        SHELL,
    ),
    Bypass(
        "picklescan",
        "getattr of eval on builtins",
        b"\x80\x04"
        + named("builtins", "getattr")
        + named("importlib", "import_module")
        + short("builtins")
        + b"\x85R"
        + short("eval")
        + b"\x86R"
        + short("1")
        + b"\x85R.",
        CODE,
    ),
    Bypass(
        "picklescan",
        "functools.partial",
        b"\x80\x04" + named("functools", "partial") + _SYSTEM + short(CANARY) + b"\x86R)R.",
        SHELL,
    ),
    Bypass(
        "picklescan",
        "functools.partial, its function given by BUILD",
        b"\x80\x04"
        + named("functools", "partial")
        + named("builtins", "len")
        + b"\x85R("
        + _SYSTEM
        + b")}Ntb"
        + _ARGS
        + b"R.",
        SHELL,
    ),
    Bypass(
        "picklescan",
        "a dotted name through a harmless module",
        b"\x80\x04" + named("uuid", "os.system") + _ARGS + b"R.",
        SHELL,
    ),
    Bypass(
        "picklescan",
        "a dotted name through a harmless class",
        b"\x80\x04" + named("collections", "OrderedDict.__init__.__globals__") + b".",
        "pickle-imports-unknown",
    ),
    Bypass(
        "picklescan",
        "map over a shell, made real by list",
        b"\x80\x04"
        + named("builtins", "list")
        + named("builtins", "map")
        + _SYSTEM
        + b"]"
        + short(CANARY)
        + b"a\x86R\x85R.",
        SHELL,
    ),
    Bypass(
        "numpy",
        "_ufunc_reconstruct imports by name",
        b"\x80\x04"
        + named("numpy.core", "_ufunc_reconstruct")
        + short("os")
        + short("system")
        + b"\x86R"
        + _ARGS
        + b"R.",
        SHELL,
    ),
    Bypass(
        "torch",
        "_rebuild_from_type_v2 calls its operand",
        b"\x80\x04"
        + named("torch._tensor", "_rebuild_from_type_v2")
        + b"("
        + _SYSTEM
        + named("builtins", "str")
        + _ARGS
        + b"NtR.",
        SHELL,
    ),
    Bypass(
        "copyreg",
        "_reconstructor instantiates its operand",
        b"\x80\x04"
        + named("copyreg", "_reconstructor")
        + named("subprocess", "Popen")
        + named("builtins", "object")
        + b"N\x87R.",
        "pickle-imports-unknown",
    ),
    Bypass(
        "fickling",
        "items of an imported mapping are set",
        b"\x80\x04" + named("os", "environ") + short("LD_PRELOAD") + short("./x.so") + b"s.",
        "pickle-patches-import",
    ),
    Bypass(
        "fickling",
        "an imported class is patched",
        b"\x80\x04"
        + named("collections", "OrderedDict")
        + b"N}"
        + short("get")
        + _SYSTEM
        + b"s\x86b.",
        "pickle-patches-import",
    ),
    Bypass("picklescan", "extension codes", b"\x80\x02\x83\x01\x00)R.", "pickle-extension-code"),
    Bypass(
        "picklescan",
        "a name made from parts",
        b"\x80\x04"
        + short("os")
        + named("builtins", "str")
        + short("system")
        + b"\x85R\x93"
        + _ARGS
        + b"R.",
        "pickle-name-unresolved",
    ),
)
"""How a stream is written to be misread."""

_GADGETS = """
ghsa:GHSA-g38g-8gr9-h9xp uuid _get_command_stdout
ghsa:GHSA-g38g-8gr9-h9xp _osx_support _find_build_tool
ghsa:GHSA-g38g-8gr9-h9xp _aix_support _read_cmd_output
ghsa:GHSA-g38g-8gr9-h9xp _pyrepl.pager pipe_pager
ghsa:GHSA-g38g-8gr9-h9xp imaplib IMAP4_stream
ghsa:GHSA-g38g-8gr9-h9xp test.support.script_helper assert_python_ok
cve:CVE-2025-10157 asyncio.unix_events _UnixSubprocessTransport._start
cve:CVE-2025-10157 asyncio create_subprocess_shell
ghsa:GHSA-6ggj-6f2q-f7mx _interpreters run_string
picklescan pip main
picklescan pip._internal.cli.main main
picklescan runpy run_path
picklescan runpy _run_code
picklescan timeit timeit
picklescan pdb run
picklescan bdb Bdb.run
picklescan cProfile run
picklescan cProfile runctx
picklescan profile Profile.run
picklescan trace Trace.run
picklescan doctest debug_script
picklescan code InteractiveInterpreter.runcode
picklescan ctypes CDLL
picklescan idlelib.pyshell ModifiedInterpreter.runcode
picklescan idlelib.debugobj ObjectTreeItem.SetText
picklescan lib2to3.pgen2.grammar Grammar.loads
picklescan distutils.file_util write_file
picklescan torch.utils._config_module load_config
picklescan torch.utils._config_module ConfigModule.load_config
picklescan torch.utils.collect_env run
picklescan torch.utils.bottleneck.__main__ run_cprofile
picklescan torch._dynamo.guards GuardBuilder.get
picklescan torch.jit.unsupported_tensor_ops execWrapper
picklescan torch.fx.experimental.symbolic_shapes ShapeEnv.evaluate_guards_expression
picklescan numpy.f2py.crackfortran getlincoef
picklescan numpy.f2py.crackfortran param_eval
picklescan numpy.f2py.crackfortran _eval_length
picklescan numpy.testing._private.utils runstring
picklescan numpy.testing._private.utils rundocs
modelscan#360 transformers.dynamic_module_utils get_class_from_dynamic_module
modelscan cloudpickle.cloudpickle _make_function
modelscan dill._dill _create_function
modelscan dill._dill _import_module
arxiv:2508.19774 logging.config listen
arxiv:2508.19774 smtpd PureProxy
arxiv:2508.19774 site execsitecustomize
arxiv:2508.19774 sqlite3 connect
arxiv:2508.19774 pydoc pipepager
arxiv:2508.19774 pydoc locate
arxiv:2508.19774 webbrowser open
arxiv:2508.19774 multiprocessing.util spawnv_passfds
arxiv:2508.19774 venv create
arxiv:2508.19774 ensurepip bootstrap
arxiv:2508.19774 zipimport zipimporter.load_module
arxiv:2508.19774 unittest.loader TestLoader.loadTestsFromName
"""
GADGETS = tuple(tuple(line.split()) for line in _GADGETS.strip().splitlines())
"""Reference, module, name: functions that were on nobody's list when they were published."""

BENIGN = {
    "uuid": uuid.UUID(int=5),
    "partial": functools.partial(int, base=2),
    "itemgetter": operator.itemgetter(1, 2),
    "attrgetter": operator.attrgetter("a.b"),
    "bound method": "text".upper,
    "method of a class": str.lower,
    "dangerous words": ["os.system", "eval", "__import__('os')", "exec", "subprocess.Popen"],
}
