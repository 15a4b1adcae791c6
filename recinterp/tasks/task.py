"""A task, in one file as users hold one class: a Gallina function, its tokens and token ids."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias

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
from recinterp.tasks.kinds_of_values import (
    check_kind,
    check_token_lists,
    check_tokens,
    check_whole,
    describe,
)
from recinterp.tasks.sampling.sampler import Sampler, SampleRequest
from recinterp.tasks.stepwise import stepwise_task
from recinterp.tasks.template import (
    SPECIALS,
    TEMPLATE,
    add_default_end,
    check_bos,
    check_ids,
    check_length,
    check_output_length,
    check_template,
    render_ids,
    split_template,
)
from recinterp.tokens import ARG_SEP

if TYPE_CHECKING:
    from recinterp.machine import Machine

ORDERS = ("natural", "reverse")
OutputLength: TypeAlias = "int | Callable[[Sequence[str]], int] | None"


@dataclass(frozen=True)
class Task:
    """Ground truth for one function: its program, its tokens, its token ids, its inputs.

    Make one with `recinterp.task(name)`, `Task.from_gallina(source, function)` or
    `Task.from_python(function)`. Tasks are equal if all fields but `longest` are.

    Attributes:
        name: Name of the task, of a shipped one or given by the user.
        source: The Gallina text.
        function: Name of the function in it whose value is the output.
        order: Order of the tokens of each argument and of the output: "natural" (constructors in
            prefix order) or "reverse".
        shown: Pairs of a constructor and the token shown in its place, for those that differ.
        bare_lists: Whether a list of labels, as a whole argument or output, is its labels only.
        brackets: Whether every constructor with arguments is written between brackets.
        given_ids: Pairs of a token and its id, where a model trained elsewhere has its own.
        bos: Id of BOS, or None if the template has no {bos}.
        template: How input and output are joined into one sequence of a decoder-only model.
        output_length: Of a task without EOS: how many tokens each output has, the same number for
            all or a function of the input's tokens; None: as many as the true output. See
            `with_vocab`.
        longest: Number of tokens up to which the derived machine has to be right; None for all
            inputs. See `within`.
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
    output_length: OutputLength = None
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
        """Make a task from Gallina text, or from a path to a .v file.

        Args:
            source: The text, or the path.
            function: Name of the function that is the task.
            order: "natural" or "reverse": whether arguments and output are written from the
                outermost constructor on, or backwards.
            tokens: Constructor -> the token shown in its place.
            bare_lists: Whether a list of labels, as a whole argument or output, is written as its
                labels only: `cons a (cons b nil)` as `a b`.
            brackets: Whether every constructor with arguments is written between brackets.
            name: Name of the task; the function's by default.

        Returns:
            The task, with token ids numbered from 0 in the order of `vocab`.

        Raises:
            SourceError: The text is refused; the error has the line and column.
            UnknownNameError: There is no such function or order.
            TaskError: The file cannot be read, the function takes no argument, or two
                constructors would share a token.
        """
        operation = "make a task"
        check_kind(source, (str, Path), operation, "the source", "pass text or a path", TaskError)
        check_kind(function, str, operation, "the function", "pass its name", TaskError)
        check_kind(order, str, operation, "the order", f"pass {' or '.join(ORDERS)}", TaskError)
        shown_as = {} if tokens is None else tokens
        hint = 'pass a dictionary of names to texts: {"One": "01"}'
        check_kind(shown_as, Mapping, operation, "tokens", hint, TaskError)
        for part in (*shown_as, *shown_as.values()):
            check_kind(part, str, operation, "a token", hint, TaskError)
        text = read_source(source)
        if order not in ORDERS:
            raise UnknownNameError("make a task in this order", order, ORDERS)
        shown = tuple(sorted((tokens or {}).items()))
        task = cls(name or function, text, function, order, shown, bare_lists, brackets)
        task._check_task()
        return replace(task, bos=task.ids["BOS"])

    @classmethod
    def from_python(
        cls,
        function: Callable[..., Any],
        order: str = "natural",
        tokens: Mapping[str, str] | None = None,
        *,
        bare_lists: bool = True,
        brackets: bool = False,
        name: str | None = None,
    ) -> Task:
        """Make a task from a Python function over frozen dataclasses with type hints.

        Its source is read and translated to Gallina, which `source` then shows; nothing is run.
        What can be translated: unions of frozen dataclasses, enums, `list`, `tuple` and `bool`;
        `match`, `if`, conditional expressions, assignments, calls and recursion on parts of an
        argument. Functions that it calls are translated with it.

        Args:
            function: The function, defined in a file or in a notebook cell.
            order: "natural" or "reverse": whether arguments and output are written from the
                outermost constructor on, or backwards.
            tokens: Constructor -> the token shown in its place.
            bare_lists: Whether a list of labels, as a whole argument or output, is written as its
                labels only.
            brackets: Whether every constructor with arguments is written between brackets.
            name: Name of the task; the function's by default.

        Returns:
            The task, with token ids numbered from 0 in the order of `vocab`.

        Raises:
            PythonTranslationError: Something in the function, its types or its helpers cannot be
                translated; the error has the line and column in the user's file.
            UnknownNameError: There is no such order.
            TaskError: The source of the function cannot be read, or two constructors would share
                a token.
        """
        from recinterp.tasks.from_python import translate_function

        found = translate_function(function)
        return cls.from_gallina(
            found.source,
            found.function,
            order,
            tokens,
            bare_lists=bare_lists,
            brackets=brackets,
            name=name or found.python_name,
        )

    def _check_task(self) -> None:
        program = self.program
        if not program.function_names:
            raise TaskError(
                "make a task",
                "the text defines no function",
                "write a Fixpoint or a Definition in it",
            )
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

    def __getstate__(self) -> dict[str, Any]:
        """The fields only: what is derived from them is derived again after a copy or a pickle."""
        return {part.name: getattr(self, part.name) for part in fields(self)}

    def __repr__(self) -> str:
        """Name, order, function and its type, tokens, and an example: what a reader needs first."""
        types = " -> ".join([*self._types, self._function.result])
        plural = "s" if self.arity > 1 else ""
        lines = [
            f"Task {self.name!r} ({self.order} order, {self.arity} argument{plural})",
            f"  function  {self.function} : {types}",
            f"  tokens    {_shorten(self.constructors)}",
            f"  template  {self.template}",
        ]
        long_enough = (n for n in range(3, DEFAULT_LENGTH + 1) if self.count(n))
        for length in islice(long_enough, 1):
            (example,) = self.sample(1, length=length)
            lines.append(f"  example   {' '.join(example)} -> {' '.join(self.apply(example))}")
        return "\n".join(lines)

    # the program
    @cached_property
    def _elaborated(self) -> Elaborator:
        return Elaborator(self.source)

    @cached_property
    def program(self) -> Program:
        """The checked program; `recinterp.semantics.ast` explains how to read it."""
        return self._elaborated.program

    @cached_property
    def _function(self) -> Function:
        return self.program.function(self.function)

    @cached_property
    def _types(self) -> tuple[str, ...]:
        return tuple(p.type for p in self._function.params)

    @property
    def arity(self) -> int:
        """The number of arguments of the function."""
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
    def eos(self) -> int | None:
        """The id of EOS; None where outputs have a known length and nothing ends them."""
        return self.ids.get("EOS")

    def with_vocab(
        self,
        ids: Mapping[str, int],
        *,
        pad: int,
        sep: int,
        eos: int | None,
        bos: int | None = None,
        template: str = TEMPLATE,
        output_length: OutputLength = None,
    ) -> Task:
        """The task with the token ids and the template of a model trained elsewhere.

        Args:
            ids: Token -> id, for every constructor token (and `,` where there are two arguments).
            pad: Id of PAD. Specials may share an id among themselves.
            sep: Id of SEP, which stands between input and output.
            eos: Id of EOS, which ends the output; None if the model has none: every output is
                decoded to its known length, and {eos} is dropped from the template.
            bos: Id of BOS; None if the model has none, {bos} is dropped from the template then.
            template: How input and output are joined, made of {bos} {input} {sep} {output} {eos}.
            output_length: Only without EOS: the number of tokens of every output, or a function
                from an input's tokens to it; None: each output is as long as the true one.

        Returns:
            A new task; this one is unchanged.

        Raises:
            TaskError: A token is missing, two tokens share an id, the template makes no sense, or
                `output_length` is given with an EOS or is no length.

        Example:
            `task.with_vocab({"0": 0, "1": 1}, pad=2, sep=2, eos=None, output_length=1)`: the
            parity of bits, one token after the separator.
        """
        operation = "give a task a vocabulary"
        check_kind(
            ids, Mapping, operation, "ids", "pass a dictionary from tokens to ids", TaskError
        )
        check_kind(template, str, operation, "the template", f"pass {TEMPLATE!r}", TaskError)
        needed = set(self.vocab) - set(SPECIALS)
        specials = {"PAD": pad, "SEP": sep}
        specials |= {k: v for k, v in (("EOS", eos), ("BOS", bos)) if v is not None}
        known = check_ids(ids, needed, specials)
        template = add_default_end(template) if eos is None else template
        check_template(template)
        check_bos(bos, template)
        check_output_length(output_length, eos)
        return replace(
            self, given_ids=known, bos=bos, template=template, output_length=output_length
        )

    def count_output_tokens(self, inputs: Sequence[Sequence[str]]) -> list[int] | None:
        """How many tokens the output of each input has, where that is known without decoding it.

        Args:
            inputs: Tokens of N inputs.

        Returns:
            N numbers; None for a task with EOS, whose outputs end with it.

        Raises:
            InvalidInputError: One of them is no input.
            TaskError: `output_length` gives something else than a number for one of them.
        """
        if self.eos is not None:
            return None
        known, queried = self._output_lengths, [tuple(x) for x in inputs]
        new = list(dict.fromkeys(x for x in queried if x not in known))
        if self.output_length is None:
            known |= {x: len(y) for x, y in zip(new, self.apply_many(new), strict=True)}
        elif callable(self.output_length):
            rule = self.output_length
            known |= {x: check_length(rule(x), f"of {' '.join(x)}") for x in new}
        else:
            known |= dict.fromkeys(new, self.output_length)
        return [known[x] for x in queried]

    @cached_property
    def _output_lengths(self) -> dict[tuple[str, ...], int]:
        return {}

    @cached_property
    def _layout(self) -> tuple[list[str], list[str]]:
        return split_template(self.template)

    @cached_property
    def _id(self) -> Callable[[str], int]:
        return dict(self.ids).__getitem__

    def _render(self, names: Sequence[str], tokens: Sequence[str]) -> list[int]:
        absent = [n for n, i in (("bos", self.bos), ("eos", self.eos)) if i is None]
        return render_ids([n for n in names if n not in absent], tokens, self._id)

    def prompt(self, tokens: Sequence[str]) -> list[int]:
        """The ids of an input up to and including SEP: what a decoder-only model is given.

        Args:
            tokens: Tokens of an input.

        Returns:
            The ids, without padding.
        """
        return self._render(self._layout[0], tokens)

    def target(self, tokens: Sequence[str]) -> list[int]:
        """The ids that a model should write after the prompt.

        Args:
            tokens: Tokens of an output, as `apply` gives them.

        Returns:
            The ids of the output's tokens, and of EOS where the task has one.
        """
        end = self._render(self._layout[1], ())
        return [*map(self._id, tokens), *end]

    # terms
    def term(self, text: str) -> Term:
        """Read a term of one of the task's types from Gallina text.

        Args:
            text: Constructors and brackets: "X1 (X0 One)".

        Returns:
            The term, of the first type of the arguments and the output that it fits.

        Raises:
            SourceError: The text is no term of any of the types.
            TaskError: The text calls a function.
        """
        check_kind(text, str, "read a term", "the text", 'pass a text: "X1 One"', TaskError)
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
        """Write the arguments as the tokens of an input.

        Args:
            *terms: One term for each argument of the function.

        Returns:
            The tokens, arguments joined by `,`.

        Raises:
            TaskError: The number of terms or their types are not the function's.
        """
        for term in terms:
            check_kind(term, Term, "encode the arguments", "a term", _TERM_HINT, TaskError)
        given = tuple(t.type for t in terms)
        if given != self._types:
            raise TaskError(
                "encode the arguments",
                f"they have types ({', '.join(given)})",
                f"the task takes ({', '.join(self._types)})",
            )
        return self.write([value_of(t) for t in terms])

    def write(self, values: Sequence[Value]) -> list[str]:
        """Write arguments that are given as values (see `recinterp.semantics.terms`).

        Args:
            values: One value for each argument of the function.

        Returns:
            The tokens, arguments joined by `,`.
        """
        out: list[str] = []
        for i, (value, type_) in enumerate(zip(values, self._types, strict=True)):
            out += [ARG_SEP] if i else []
            out += self._encoding.write_value(value, type_)
        return out

    def decode(self, tokens: Sequence[str]) -> tuple[Term, ...]:
        """Read the arguments that the tokens of an input stand for.

        Args:
            tokens: Tokens of an input.

        Returns:
            One term for each argument of the function.

        Raises:
            InvalidInputError: The tokens are no input; the error has the position.
        """
        return tuple(
            term_from(v, t, self.program)
            for v, t in zip(self._read_arguments(tokens), self._types, strict=True)
        )

    def encode_output(self, term: Term) -> list[str]:
        """Write a result as the tokens of an output.

        Args:
            term: A term of the function's result type.

        Returns:
            The tokens, without EOS.

        Raises:
            TaskError: The term is of another type.
        """
        check_kind(term, Term, "encode an output", "the term", _TERM_HINT, TaskError)
        if term.type != self._function.result:
            raise TaskError(
                "encode an output",
                f"it has type {term.type}",
                f"pass a term of type {self._function.result}",
            )
        return self._encoding.write_value(value_of(term), term.type)

    def decode_output(self, tokens: Sequence[str]) -> Term:
        """Read the result that the tokens of an output stand for.

        Args:
            tokens: Tokens of an output, without EOS.

        Returns:
            The term.

        Raises:
            InvalidInputError: The tokens are no term of the result type.
        """
        result = self._function.result
        tokens = _listed(tokens)
        return term_from(self._encoding.read_value(tokens, result), result, self.program)

    def _read_arguments(self, tokens: Sequence[str]) -> list[Value]:
        tokens = _listed(tokens)
        if len(self._types) == 1:
            return [self._encoding.read_value(tokens, self._types[0])]
        at, values = 0, []
        for part, type_ in zip(split_arguments(tokens, self.arity), self._types, strict=True):
            values.append(self._encoding.read_value(part, type_, at))
            at += len(part) + 1
        return values

    def well_formed(self, tokens: Sequence[str]) -> None:
        """Check that tokens are an input of the task.

        Args:
            tokens: The tokens.

        Raises:
            InvalidInputError: They are not; the error has the position of the first fault.
        """
        self._read_arguments(tokens)

    # ground truth
    def apply(self, tokens: Sequence[str]) -> list[str]:
        """Compute the true output of an input: the normal form of the call, as tokens.

        Args:
            tokens: Tokens of an input.

        Returns:
            Tokens of the output, without EOS.

        Raises:
            InvalidInputError: The tokens are no input.
        """
        value = self._compiled.run_function(self.function, self._read_arguments(tokens))
        return self._encoding.write_value(value, self._function.result)

    def apply_many(self, inputs: Sequence[Sequence[str]]) -> list[list[str]]:
        """Compute the true output of each input.

        Args:
            inputs: Tokens of N inputs.

        Returns:
            Tokens of N outputs, without EOS.

        Raises:
            InvalidInputError: One of them is no input.
        """
        inputs = _listed_rows(inputs)
        run, read, function = self._compiled.run_function, self._read_arguments, self.function
        write = self._encoding.writer_of(self._function.result)
        return [write(run(function, read(tokens))) for tokens in inputs]

    def trace(self, tokens: Sequence[str], strategy: str = "cbv") -> ReductionTrace:
        """The δ, β, ι and ζ steps from the call to its normal form.

        Args:
            tokens: Tokens of an input.
            strategy: Order of reduction: "cbv" (leftmost-innermost) or "outermost".

        Returns:
            The trace; print it, iterate over its steps, or show it in a notebook.

        Raises:
            InvalidInputError: The tokens are no input.
            UnknownNameError: There is no such strategy; raised when the steps are taken.
        """
        known = ("cbv", "outermost")
        check_kind(
            strategy, str, "trace a reduction", "the strategy", " or ".join(known), TaskError
        )
        return ReductionTrace(self.program, self.function, self.decode(tokens), strategy)

    def depth(self, tokens: Sequence[str]) -> int:
        """The recursion depth of an input.

        Args:
            tokens: Tokens of an input.

        Returns:
            The longest chain of nested unfoldings of the task's own recursive functions, minus
            one: 0 where the call ends without recursion.

        Raises:
            InvalidInputError: The tokens are no input.
        """
        return max(0, self._compiled.measure_depth(self.function, self._read_arguments(tokens)))

    def stepwise(self, k: int) -> Task:
        """The task "reduce k ι-match steps, leftmost-outermost", on the terms this one's runs pass.

        A call not reduced yet is a token, the function's name: for the binary successor and k = 1,
        `succ X1 01 -> X0 succ 01`.

        Args:
            k: Number of steps, 1 or more.

        Returns:
            A task with a program of its own.

        Raises:
            TaskError: k is below 1.
        """
        k = check_whole(k, "make a stepwise task", "k", 1, TaskError)
        max_steps = 50  # the program has a case for each step
        if k > max_steps:
            problem, hint = f"k is {k}", f"pass a whole number from 1 to {max_steps}"
            raise TaskError("make a stepwise task", problem, hint)
        return stepwise_task(self, k)

    @cached_property
    def machine(self) -> Machine:
        """The ground-truth machine, derived from the program.

        Some functions have one only on inputs up to a length: `task.within(longest).machine`.

        Raises:
            NotDerivableError: The function needs more than pointers and one stack.
        """
        from recinterp.derivation import derive_machine

        return derive_machine(self, self.longest)

    def within(self, longest: int | None) -> Task:
        """The task with a machine that has to be right only up to a length.

        Args:
            longest: Number of tokens of the longest input; None for all inputs.

        Returns:
            A task that is equal to this one.
        """
        return replace(self, longest=longest)

    # inputs
    @cached_property
    def _sampler(self) -> Sampler:
        return Sampler(self, self.program, self._encoding, self.own)

    def length(self, tokens: Sequence[str]) -> int:
        """The length of an input.

        Args:
            tokens: Tokens of an input.

        Returns:
            The number of its tokens, commas between arguments left out.
        """
        return len(_listed(tokens)) - (self.arity - 1)

    def inputs(self, max_length: int | None) -> Iterator[list[str]]:
        """Iterate over every input up to a length, shortest first.

        Args:
            max_length: Length of the longest inputs; None to go on without end.

        Returns:
            An iterator over token lists.
        """
        if max_length is not None:
            max_length = check_whole(max_length, "list inputs", "max_length")
        return self._sampler.iterate_inputs(max_length)

    def count(self, length: int) -> int:
        """The number of inputs of exactly one length.

        Args:
            length: The length, in tokens without commas.
        """
        return self._sampler.count_inputs(check_whole(length, "count inputs", "the length"))

    def depths(self, length: int) -> dict[int, int]:
        """How many inputs of one length have each recursion depth.

        Args:
            length: The length, in tokens without commas.

        Returns:
            Depth -> number of inputs, for depths that occur. Where the depth hangs on computed
            values and there are more than 20,000 inputs, they are counted in a sample of those.
        """
        return self._sampler.depths_at(check_whole(length, "count depths", "the length"))

    def inputs_of(self, length: int) -> Iterator[list[str]]:
        """Iterate over every input of exactly one length.

        Args:
            length: The length, in tokens without commas.

        Returns:
            An iterator over token lists.
        """
        return self._sampler.inputs_of_length(check_whole(length, "list inputs", "the length"))

    def full_depth(self, tokens: Sequence[str]) -> bool:
        """Whether no input of the same length is deeper: the edge cases of a task.

        Args:
            tokens: Tokens of an input.
        """
        return self.depth(tokens) == self._sampler.max_depth(self.length(tokens))

    def measure_many(
        self, inputs: Sequence[Sequence[str]]
    ) -> tuple[list[int], list[int], list[bool]]:
        """Measure many inputs at once.

        Args:
            inputs: Tokens of N inputs.

        Returns:
            Depths, lengths, and whether no input of the same length is deeper: three lists of N.
        """
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
        min_length: int = 0,
    ) -> list[list[str]]:
        """Draw inputs with replacement; the same seed gives the same inputs.

        Args:
            n: Number of inputs.
            seed: Seed of the draw.
            depth: Recursion depth that every input has; None for any.
            length: Length that every input has, in tokens; None for any up to `max_length`.
            distribution: "balanced": length uniform, then depth uniform over those of the length;
                "uniform": length uniform, then each input of it as likely; "natural": each input
                up to `max_length` as likely (for binary numbers: uniform integers).
            max_length: Length of the longest inputs, in tokens.
            max_depth: Recursion depth of the deepest inputs; None for any.
            exclude: A predicate on tokens; inputs it holds of are not drawn.
            min_length: Length of the shortest inputs, in tokens.

        Returns:
            `n` token lists.

        Raises:
            DomainError: No input fits, or n is negative.
            UnknownNameError: There is no such distribution.
        """
        operation = "sample inputs"
        n, seed = (
            check_whole(n, operation, "n", 0, DomainError),
            check_whole(seed, operation, "seed"),
        )
        bounds = {"depth": depth, "length": length, "max_depth": max_depth}
        depth, length, max_depth = (
            None if value is None else check_whole(value, operation, name, 0, DomainError)
            for name, value in bounds.items()
        )
        max_length = check_whole(max_length, operation, "max_length", 0, DomainError)
        check_kind(distribution, str, operation, "the distribution", 'pass "balanced"', DomainError)
        if exclude is not None and not callable(exclude):
            hint = "pass a function of tokens"  # type: ignore[unreachable]
            raise DomainError(operation, f"exclude is {describe(exclude)}", hint)
        wanted = SampleRequest(
            depth, length, distribution, max_length, max_depth, exclude, min_length
        )
        return self._sampler.draw_sample(n, seed, wanted)

    # saved form
    def to_json(self) -> dict[str, Any]:
        """The task as plain data, enough to make it again; checkpoints record it.

        Raises:
            TaskError: `output_length` is a function, which has no description.
        """
        if callable(self.output_length):
            raise TaskError(
                "save a task",
                "output_length is a function, which has no finite description",
                "use a number, or None for the length of the true output",
            )
        data = {part.name: getattr(self, part.name) for part in fields(self)}
        return data | {"tokens": dict(data.pop("shown")), "ids": dict(data.pop("given_ids"))}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Task:
        """Make the task that `to_json` described.

        Args:
            data: What `to_json` gave.

        Raises:
            TaskError: The data describe no task.
        """
        names = ("source", "function", "order", "tokens", "bare_lists", "brackets", "name")
        task = cls.from_gallina(**{name: data[name] for name in names})
        check_template(data["template"])
        return replace(
            task,
            given_ids=tuple(sorted((str(t), int(i)) for t, i in data["ids"].items())),
            bos=data["bos"],
            template=data["template"],
            output_length=data.get("output_length"),
            longest=data.get("longest"),
        )


_TERM_HINT = 'pass terms: task.term("X1 One")'


def _listed(tokens: Sequence[str]) -> Sequence[str]:
    """The tokens, in a list or tuple. MalformedArgumentError where they are none."""
    if type(tokens) in (list, tuple) and all(type(token) is str for token in tokens):
        return tokens
    return check_tokens(tokens, "read an input", None, "the input")


def _listed_rows(inputs: Sequence[Sequence[str]]) -> Sequence[Sequence[str]]:
    """The inputs, in a list or tuple. MalformedArgumentError where they are none."""
    if type(inputs) in (list, tuple) and all(type(x) in (list, tuple) for x in inputs):
        return inputs
    return check_token_lists(inputs, "read inputs", None)


def _shorten(tokens: Sequence[str], max_characters: int = 80) -> str:
    """The tokens on one line; the last ones as a number where they do not fit."""
    line = ""
    for i, token in enumerate(tokens):
        if len(line) + len(token) > max_characters:
            return f"{line}… ({len(tokens) - i} more)"
        line += f"{token} "
    return line.rstrip()
