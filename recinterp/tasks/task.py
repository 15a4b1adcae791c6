"""A task: a Gallina function, how its terms are written as tokens, and the token ids of a model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from recinterp.errors import DomainError, SourceError, TaskError, UnknownNameError
from recinterp.semantics.ast import Function, Program
from recinterp.semantics.elaborate import Elaborator
from recinterp.semantics.evaluate import CompiledProgram, compile_program
from recinterp.semantics.parse import read_source
from recinterp.semantics.recursion_depth import own_functions
from recinterp.semantics.terms import Term, Value, read_plain, value_of
from recinterp.semantics.trace import ReductionTrace, value_term
from recinterp.tasks.domain import DEFAULT_LENGTH, Exclude
from recinterp.tasks.encoding import Encoding, split_arguments, term_from
from recinterp.tasks.sampling.sampler import Sampler, SampleRequest
from recinterp.tasks.stepwise import stepwise_task
from recinterp.tasks.template import (
    SPECIALS,
    TEMPLATE,
    check_ids,
    check_template,
    render_ids,
    split_template,
)
from recinterp.tokens import ARG_SEP

if TYPE_CHECKING:
    from recinterp.machine import Machine

ORDERS = ("natural", "reverse")


@dataclass(frozen=True)
class Task:
    """Ground truth for one function. Make it with `from_gallina` or `recinterp.task(name)`.

    `shown`: constructor -> token pairs; `given_ids`: token -> id pairs where a model trained
    elsewhere has ids of its own; tasks are equal where all of this is.
    """

    name: str
    source: str
    function: str
    order: str = "natural"
    shown: tuple[tuple[str, str], ...] = ()
    bare_lists: bool = True
    brackets: bool = False
    given_ids: tuple[tuple[str, int], ...] = ()
    bos: int | None = None
    template: str = TEMPLATE
    longest: int | None = field(default=None, compare=False)

    @classmethod
    def from_gallina(
        cls,
        source: str | Path,
        function: str,
        order: str = "natural",
        tokens: Mapping[str, str] | None = None,
        *,
        bare_lists: bool = True,
        brackets: bool = False,
        name: str | None = None,
    ) -> Task:
        """A task from Gallina text, or from a path to a .v file.

        `tokens` maps constructors to the tokens shown instead. Raises SourceError with the place
        where the text is refused, UnknownNameError for the function, TaskError for the rest.
        """
        text = read_source(source)
        if order not in ORDERS:
            raise UnknownNameError("make a task in this order", order, ORDERS)
        shown = tuple(sorted((tokens or {}).items()))
        task = cls(name or function, text, function, order, shown, bare_lists, brackets)
        task._check_task()
        return replace(task, bos=task.ids["BOS"])

    def _check_task(self) -> None:
        program = self.program
        if self.function not in program.function_names:
            raise UnknownNameError("make a task", self.function, program.function_names)
        if not self.arity:
            raise TaskError(
                "make a task",
                f"{self.function!r} takes no argument",
                "name a function that takes one or more",
            )
        types = [*self._types, self._function.result]
        self._encoding.check_tokens(types, (*SPECIALS,))

    # the program
    @cached_property
    def _elaborated(self) -> Elaborator:
        return Elaborator(self.source)

    @cached_property
    def program(self) -> Program:
        """The checked program (see recinterp.semantics.ast)."""
        return self._elaborated.program

    @cached_property
    def _function(self) -> Function:
        return self.program.function(self.function)

    @cached_property
    def _types(self) -> tuple[str, ...]:
        return tuple(p.type for p in self._function.params)

    @property
    def arity(self) -> int:
        """The number of arguments."""
        return len(self._types)

    @property
    def own(self) -> frozenset[str]:
        """The task's own recursive functions: those whose unfoldings its depth counts."""
        return own_functions(self.program, self.function)

    @cached_property
    def _compiled(self) -> CompiledProgram:
        return compile_program(self.program, self.own)

    # tokens
    @cached_property
    def _encoding(self) -> Encoding:
        reverse = self.order == "reverse"
        return Encoding(self.program, self.shown, reverse, self.brackets, self.bare_lists)

    @cached_property
    def constructors(self) -> tuple[str, ...]:
        """The tokens that inputs and outputs are written with, specials and `,` left out."""
        return self._encoding.tokens_of_types([*self._types, self._function.result])

    @cached_property
    def vocab(self) -> tuple[str, ...]:
        """Constructor tokens, then specials."""
        return (*self.constructors, *((ARG_SEP,) if self.arity > 1 else ()), *SPECIALS)

    @cached_property
    def ids(self) -> Mapping[str, int]:
        """Token -> id, specials included."""
        if self.given_ids:
            return MappingProxyType(dict(self.given_ids))
        return MappingProxyType({token: i for i, token in enumerate(self.vocab)})

    @property
    def pad(self) -> int:
        """The id of PAD."""
        return self.ids["PAD"]

    @property
    def sep(self) -> int:
        """The id of SEP."""
        return self.ids["SEP"]

    @property
    def eos(self) -> int:
        """The id of EOS."""
        return self.ids["EOS"]

    def with_vocab(
        self,
        ids: Mapping[str, int],
        *,
        pad: int,
        sep: int,
        eos: int,
        bos: int | None = None,
        template: str = TEMPLATE,
    ) -> Task:
        """The same task with the token ids and the template of a model trained elsewhere.

        `template` is made of {bos} {input} {sep} {output} {eos}; {bos} is dropped where bos is
        None. Raises TaskError where a token is missing, or two tokens share an id.
        """
        needed = set(self.vocab) - set(SPECIALS)
        specials = {"PAD": pad, "SEP": sep, "EOS": eos} | ({} if bos is None else {"BOS": bos})
        known = check_ids(ids, needed, specials)
        check_template(template)
        return replace(self, given_ids=known, bos=bos, template=template)

    @cached_property
    def _layout(self) -> tuple[list[str], list[str]]:
        return split_template(self.template)

    @cached_property
    def _id(self) -> Callable[[str], int]:
        return dict(self.ids).__getitem__

    def prompt(self, tokens: Sequence[str]) -> list[int]:
        """Ids of an input up to and including SEP: what a decoder-only model is given."""
        return render_ids(self._layout[0], tokens, self._id, self.bos)

    def target(self, tokens: Sequence[str]) -> list[int]:
        """Ids of an output's tokens (a list of tokens, as `apply` gives it), and EOS."""
        end = render_ids(self._layout[1], (), self._id, self.bos)
        return [*map(self._id, tokens), *end]

    # terms
    def term(self, text: str) -> Term:
        """A term of one of the task's types from Gallina text; SourceError otherwise."""
        first: SourceError | None = None
        for wanted in dict.fromkeys((*self._types, self._function.result)):
            plain = read_plain(text, wanted, self.program)
            if plain is not None:
                return plain
            try:
                node, type_ = self._elaborated.elaborate_term(text, wanted)
            except SourceError as error:
                first = first or error
                continue
            term = value_term(node, type_, self.program)
            if term is None:
                raise TaskError(
                    "read a term", f"{text!r} calls a function", "write constructors only"
                )
            return term
        assert first is not None
        raise first

    def encode(self, *terms: Term) -> list[str]:
        """The tokens of the task's arguments; TaskError where their number or types are wrong."""
        given = tuple(t.type for t in terms)
        if given != self._types:
            raise TaskError(
                "encode the arguments",
                f"they have types ({', '.join(given)})",
                f"the task takes ({', '.join(self._types)})",
            )
        return self.write([value_of(t) for t in terms])

    def write(self, values: Sequence[Value]) -> list[str]:
        """The tokens of the arguments, given as values (see recinterp.semantics.terms)."""
        out: list[str] = []
        for i, (value, type_) in enumerate(zip(values, self._types, strict=True)):
            out += [ARG_SEP] if i else []
            out += self._encoding.write_value(value, type_)
        return out

    def decode(self, tokens: Sequence[str]) -> tuple[Term, ...]:
        """The arguments that tokens write. Raises InvalidInputError with the position."""
        return tuple(
            term_from(v, t, self.program)
            for v, t in zip(self._read_arguments(tokens), self._types, strict=True)
        )

    def encode_output(self, term: Term) -> list[str]:
        """The tokens of a result."""
        if term.type != self._function.result:
            raise TaskError(
                "encode an output",
                f"it has type {term.type}",
                f"pass a term of type {self._function.result}",
            )
        return self._encoding.write_value(value_of(term), term.type)

    def decode_output(self, tokens: Sequence[str]) -> Term:
        """The result that tokens write. Raises InvalidInputError with the position."""
        result = self._function.result
        return term_from(self._encoding.read_value(tokens, result), result, self.program)

    def _read_arguments(self, tokens: Sequence[str]) -> list[Value]:
        if len(self._types) == 1:
            return [self._encoding.read_value(tokens, self._types[0])]
        at, values = 0, []
        for part, type_ in zip(split_arguments(tokens, self.arity), self._types, strict=True):
            values.append(self._encoding.read_value(part, type_, at))
            at += len(part) + 1
        return values

    def well_formed(self, tokens: Sequence[str]) -> None:
        """None for an input of the task; InvalidInputError with the position otherwise."""
        self._read_arguments(tokens)

    # ground truth
    def apply(self, tokens: Sequence[str]) -> list[str]:
        """The output: the normal form, written as tokens. Raises InvalidInputError."""
        value = self._compiled.run_function(self.function, self._read_arguments(tokens))
        return self._encoding.write_value(value, self._function.result)

    def apply_many(self, inputs: Sequence[Sequence[str]]) -> list[list[str]]:
        """The output for each input."""
        run, read, function = self._compiled.run_function, self._read_arguments, self.function
        write = self._encoding.writer_of(self._function.result)
        return [write(run(function, read(tokens))) for tokens in inputs]

    def trace(self, tokens: Sequence[str], strategy: str = "cbv") -> ReductionTrace:
        """The δ, β, ι, ζ steps from the call to its normal form; strategy "cbv" or "outermost"."""
        return ReductionTrace(self.program, self.function, self.decode(tokens), strategy)

    def depth(self, tokens: Sequence[str]) -> int:
        """The longest chain of nested unfoldings of the task's own functions, minus one."""
        return max(0, self._compiled.measure_depth(self.function, self._read_arguments(tokens)))

    def stepwise(self, k: int) -> Task:
        """The task "reduce k ι-match steps, leftmost-outermost", on the terms this one's runs pass.

        A call not reduced yet is a token, the function's name: for the binary successor and k = 1,
        `succ X1 01 -> X0 succ 01`. TaskError where k < 1.
        """
        return stepwise_task(self, k)

    @cached_property
    def machine(self) -> Machine:
        """The ground-truth machine, derived from the program. Errors: NotDerivableError.

        Some functions have one only on inputs up to a length: `task.within(longest).machine`.
        """
        from recinterp.derivation import derive_machine

        return derive_machine(self, self.longest)

    def within(self, longest: int | None) -> Task:
        """The same task, its machine asked about inputs of at most so many tokens."""
        return replace(self, longest=longest)

    # inputs
    @cached_property
    def _sampler(self) -> Sampler:
        return Sampler(self, self.program, self._encoding, self.own)

    def length(self, tokens: Sequence[str]) -> int:
        """The length of an input: its tokens, without commas."""
        return len(tokens) - (self.arity - 1)

    def inputs(self, max_length: int | None) -> Iterator[list[str]]:
        """Every input up to a length, shortest first; without end where the length is None."""
        return self._sampler.iterate_inputs(max_length)

    def count(self, length: int) -> int:
        """The number of inputs of exactly that length."""
        return self._sampler.count_inputs(length)

    def depths(self, length: int) -> dict[int, int]:
        """Depth -> how many inputs of that length have it; only depths that occur."""
        return self._sampler.depths_at(length)

    def inputs_of(self, length: int) -> Iterator[list[str]]:
        """Every input of exactly that length."""
        return self._sampler.inputs_of_length(length)

    def full_depth(self, tokens: Sequence[str]) -> bool:
        """Whether an input is as deep as inputs of its length get: the edge cases of its task."""
        return self.depth(tokens) == self._sampler.max_depth(self.length(tokens))

    def measure_many(
        self, inputs: Sequence[Sequence[str]]
    ) -> tuple[list[int], list[int], list[bool]]:
        """Each input's depth, its length, and whether no input of that length is deeper."""
        lengths = [self.length(x) for x in inputs]
        deepest = {n: self._sampler.max_depth(n) for n in set(lengths)}
        depths = [self.depth(x) for x in inputs]
        full = [d == deepest[n] for d, n in zip(depths, lengths, strict=True)]
        return depths, lengths, full

    def sample(
        self,
        n: int,
        seed: int = 0,
        depth: int | None = None,
        length: int | None = None,
        distribution: str = "balanced",
        *,
        max_length: int = DEFAULT_LENGTH,
        max_depth: int | None = None,
        exclude: Exclude | None = None,
    ) -> list[list[str]]:
        """`n` inputs, drawn with replacement; the same seed gives the same inputs.

        "balanced": length uniform, then depth uniform over what the length permits; "uniform":
        length uniform, then any input of it; "natural": any input up to max_length, each as likely
        (for binary numbers: uniform integers). `depth` and `length` fix them exactly. Raises
        DomainError where nothing fits.
        """
        if n < 0:
            raise DomainError("sample inputs", f"n is {n}", "pass n >= 0")
        wanted = SampleRequest(depth, length, distribution, max_length, max_depth, exclude)
        return self._sampler.draw_sample(n, seed, wanted)

    # saved form
    def to_json(self) -> dict[str, Any]:
        """What a checkpoint records: enough to make the same task again."""
        data = {part.name: getattr(self, part.name) for part in fields(self)}
        return data | {"tokens": dict(data.pop("shown")), "ids": dict(data.pop("given_ids"))}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Task:
        """The task that to_json described."""
        names = ("source", "function", "order", "tokens", "bare_lists", "brackets", "name")
        task = cls.from_gallina(**{name: data[name] for name in names})
        check_template(data["template"])
        return replace(
            task,
            given_ids=tuple(sorted((str(t), int(i)) for t, i in data["ids"].items())),
            bos=data["bos"],
            template=data["template"],
            longest=data.get("longest"),
        )
