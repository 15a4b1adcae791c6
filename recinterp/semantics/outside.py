"""What of Gallina is outside the subset, by the word that gives it away, and what to write instead."""

from __future__ import annotations

_FUNCTIONS = ("functions as values", "give the function a name with Definition or Fixpoint")
_PROOFS = ("theorems and proofs", "keep only Inductive, Definition and Fixpoint sentences")
_COMMANDS = ("this command", "keep only Inductive, Definition and Fixpoint sentences")
_SECTIONS = (
    "sections, modules and variables",
    "write each definition at the top level, at a concrete type",
)
_NOTATION = ("notations", "write the constructor or function by its name")
_RECORDS = ("records and classes", "write an Inductive with one constructor")

_ADVICE = {
    "fun": _FUNCTIONS,
    "forall": ("dependent and polymorphic types", "write the function at one concrete type"),
    "fix": ("a nested fix", "write it as a Fixpoint of its own, and pass it what it needs"),
    "cofix": ("coinduction", "write an Inductive and a Fixpoint"),
    "CoFixpoint": ("coinduction", "write an Inductive and a Fixpoint"),
    "CoInductive": ("coinduction", "write an Inductive and a Fixpoint"),
    "return": ("dependent matches", "leave out the return clause: all branches have one type"),
    "where": ("notations", "leave out the where clause"),
    "Variant": ("Variant", "write Inductive"),
    "Prop": ("propositions", "write the type in Set"),
    "SProp": ("propositions", "write the type in Set"),
    "Function": ("recursion that is not structural", "write a Fixpoint on a subterm"),
    "Program": ("recursion that is not structural", "write a Fixpoint on a subterm"),
    "Equations": ("recursion that is not structural", "write a Fixpoint on a subterm"),
    "Let": ("sections, modules and variables", "write Definition"),
}  # fmt: skip
_GROUPS = {
    _RECORDS: "Record Structure Class Instance Canonical Coercion Existing",
    _NOTATION: "Notation Infix Reserved Delimit Bind Close Declare",
    _SECTIONS: "Section End Module Variable Variables Parameter Parameters Axiom Hypothesis Context",
    _PROOFS: "Theorem Lemma Example Fact Remark Corollary Proposition Goal Proof Qed Defined Abort"
    " Admitted Admit Ltac Hint Obligation",
}
for _what, _words in _GROUPS.items():
    _ADVICE |= dict.fromkeys(_words.split(), _what)


def advice(word: str) -> tuple[str, str]:
    """(what is outside the subset, what to write instead) for a word or symbol of the text."""
    if word in _ADVICE:
        what, instead = _ADVICE[word]
    elif word.isdigit():
        what, instead = "number literals", "write the constructors, S (S O) for 2"
    elif word[0].isalpha() and word.isascii():
        what, instead = _COMMANDS
    elif not word.isascii():
        what, instead = "characters outside ASCII", "write ASCII names"
    else:
        what, instead = _NOTATION
    return f"{word!r} is outside the subset that is read: {what}", instead
