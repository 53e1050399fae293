"""Regular expressions and grammars of programs and notations, with texts for each."""

# ruff: noqa: E501  # a rule of GBNF ends with its line

from __future__ import annotations

from dataclasses import dataclass

from guided.grammars.gbnf import sample


@dataclass(frozen=True)
class Subject:
    """One language: Python's `re` syntax, or GBNF; both are written so that every engine reads it.

    Attributes:
        kind: "regex" or "grammar".
    """

    name: str
    kind: str
    text: str
    valid: tuple[str, ...]
    invalid: tuple[str, ...]


_SQL = r"""
root   ::= query ";"
query  ::= "SELECT " items " FROM " source (" WHERE " cond)? (" GROUP BY " names)? (" ORDER BY " order)? (" LIMIT " int)?
items  ::= "*" | item (", " item)*
item   ::= expr (" AS " name)?
source ::= table (" JOIN " table " ON " cond)*
table  ::= name (" " alias)? | "(" query ")" " " alias
names  ::= column (", " column)*
order  ::= column (" ASC" | " DESC")? (", " column (" ASC" | " DESC")?)*
cond   ::= conj (" OR " conj)*
conj   ::= test (" AND " test)*
test   ::= "NOT " test | "(" cond ")" | expr (" = " | " < " | " > " | " <= " | " >= " | " <> " | " LIKE ") expr | expr " IN (" (query | expr (", " expr)*) ")" | expr " IS NULL"
expr   ::= term (" + " term | " - " term)*
term   ::= atom (" * " atom | " / " atom)*
atom   ::= column | int | string | func "(" ("*" | expr (", " expr)*) ")" | "(" expr ")"
func   ::= "COUNT" | "SUM" | "AVG" | "MIN" | "MAX"
column ::= name ("." name)?
alias  ::= [a-z] [a-z0-9]*
name   ::= [a-z] [a-z0-9_]*
int    ::= [0-9]+
string ::= "'" [^'\n]* "'"
"""

_PYTHON = r"""
root   ::= stmt+
stmt   ::= simple "\n" | "def " name "(" params? "):\n" block | "if " expr ":\n" block ("else:\n" block)? | "for " name " in " expr ":\n" block | "while " expr ":\n" block
block  ::= ("    " inner "\n")+
inner  ::= simple | "if " expr ": " simple | "for " name " in " expr ": " simple
simple ::= "return" (" " expr)? | "pass" | "break" | name " = " expr | name " += " expr | expr
params ::= name ("=" expr)? (", " name ("=" expr)?)*
expr   ::= conj (" or " conj)* | conj " if " conj " else " expr | "lambda " name ": " expr
conj   ::= comp (" and " comp)*
comp   ::= "not " comp | sum ((" == " | " != " | " < " | " > " | " in " | " is ") sum)*
sum    ::= prod ((" + " | " - ") prod)*
prod   ::= post ((" * " | " / " | " // " | " % ") post)*
post   ::= atom ("." name | "[" expr (":" expr)? "]" | "(" args? ")")*
args   ::= arg (", " arg)*
arg    ::= (name "=")? expr
atom   ::= name | num | str | "(" expr ")" | "[" (expr (", " expr)*)? "]" | "[" expr " for " name " in " expr (" if " expr)? "]" | "{" (expr ": " expr (", " expr ": " expr)*)? "}" | "None" | "True" | "False" | "-" atom
name   ::= [a-zA-Z_] [a-zA-Z0-9_]*
num    ::= [0-9]+ ("." [0-9]+)?
str    ::= "'" ([^'\\\n] | "\\" [^\n])* "'" | "\"" ([^"\\\n] | "\\" [^\n])* "\""
"""

_C = r"""
root   ::= (func | decl)+
func   ::= type " " ptr name "(" (param (", " param)*)? ") " block "\n"
param  ::= type " " ptr name ("[" "]")?
type   ::= ("const ")? ("int" | "char" | "double" | "void" | "unsigned int" | "struct " name)
ptr    ::= "*"*
decl   ::= type " " ptr name ("[" expr "]")? (" = " expr)? ";" "\n"
block  ::= "{\n" stmt* ws "}"
stmt   ::= ws (block | type " " ptr name ("[" expr "]")? (" = " expr)? ";" | "return" (" " expr)? ";" | "break;" | "if (" expr ") " block (" else " (block | simple))? | "while (" expr ") " block | "for (" simple " " expr "; " expr ") " block | simple) "\n"
simple ::= expr ";"
expr   ::= cond ((" = " | " += " | " -= ") expr)?
cond   ::= or (" ? " expr " : " cond)?
or     ::= and (" || " and)*
and    ::= eq (" && " eq)*
eq     ::= add ((" == " | " != " | " < " | " > " | " <= " | " >= ") add)*
add    ::= mul ((" + " | " - ") mul)*
mul    ::= unary ((" * " | " / " | " % ") unary)*
unary  ::= ("-" | "!" | "*" | "&" | "++" | "--") unary | post
post   ::= atom ("(" (expr (", " expr)*)? ")" | "[" expr "]" | "." name | "->" name | "++" | "--")*
atom   ::= name | num | "'" [^'\\\n] "'" | "\"" ([^"\\\n] | "\\" [^\n])* "\"" | "(" expr ")"
name   ::= [a-zA-Z_] [a-zA-Z0-9_]*
num    ::= [0-9]+ ("." [0-9]+)?
ws     ::= [ \t]*
"""

_NESTED = r"""
root ::= item*
item ::= "(" root ")" | "[" root "]" | "{" root "}" | "<" root ">" | [a-z0-9 ]
"""
_SUMS = r"""
root ::= sum " = " sum
sum  ::= prod (" + " prod | " - " prod)*
prod ::= atom (" * " atom | " / " atom)*
atom ::= [0-9]+ | [a-z] | "-" atom | "(" sum ")" | "sin(" sum ")"
"""
_SUMS_LEFT = r"""
root ::= sum " = " sum
sum  ::= prod | sum " + " prod | sum " - " prod
prod ::= atom | prod " * " atom | prod " / " atom
atom ::= [0-9]+ | [a-z] | "-" atom | "(" sum ")" | "sin(" sum ")"
"""
_AMBIGUOUS = r"""
root ::= e
e    ::= t | t " + " e | t " " e | "if " e " then " e | "if " e " then " e " else " e
t    ::= [a-z]+ | [a-z0-9]+ | "(" e ")" | [a-z]* [0-9]+ [a-z]*
"""
_AMBIGUOUS_LEFT = r"""
root ::= e
e    ::= e "+" e | e e | "(" e ")" | [a-z]
"""

GRAMMARS = (
    Subject(
        "sql", "grammar", _SQL,
        (
            "SELECT * FROM users;",
            "SELECT u.name, COUNT(*) AS n FROM users u JOIN orders o ON u.id = o.user_id WHERE "
            "o.total > 100 AND (u.country = 'NZ' OR u.country = 'Peru') GROUP BY u.name "
            "ORDER BY n DESC LIMIT 10;",
            "SELECT a + b * 2 AS c FROM (SELECT x, y FROM t WHERE x IN (1, 2, 3)) q WHERE NOT c "
            "IS NULL;",
        ),
        ("SELECT FROM users;", "SELECT a FROM b WHERE;", "SELECT a FROM b", "SELECT a, FROM b;"),
    ),
    Subject(
        "python-like", "grammar", _PYTHON,
        (
            "def area(w, h=2):\n    return w * h\nprint(area(3), area(w=4, h=5))\n",
            "total = 0\nfor x in [n * n for n in range(10) if n % 2 == 0]:\n"
            "    if x > 4: total += x\nprint({'total': total}['total'])\n",
            "f = lambda s: s.strip()[1:3].upper() if s is not None else ''\n".replace(
                "is not None", "!= None"
            ),
            "while not done(a, b) and a[0] != -1:\n    step = (a[0] + b) // 2\n    pass\n",
        ),
        ("def f(:\n    pass\n", "if x:\nreturn\n", "x = [1, 2\n", "return )\n", "a = b c\n"),
    ),
    Subject(
        "c-like", "grammar", _C,
        (
            "int main(void x) {\n  int i = 0;\n  while (i < 10) {\n    i++;\n  }\n  return i;\n}\n",
            "struct node *find(struct node *head, int key) {\n  for (head = head; head != 0; "
            "head = head->next) {\n    if (head->key == key && !head->dead) {\n"
            "      return head;\n    } else {\n      count += a[key % 7] * 2;\n    }\n  }\n"
            "  return 0;\n}\n",
            'char *names[10];\nint x = f(1, "a b", (2 + 3) * -4) ? 1 : 0;\n',
        ),
        ("int f( {\n}\n", "int x = ;\n", "int f(int a) {\n  return a\n}\n", "float x;\n"),
    ),
    Subject(
        "deeply nested", "grammar", _NESTED,
        (
            "(" * 60 + "x" + ")" * 60,
            "([{<" * 40 + "a b" + ">}])" * 40,
            "(a[b{c<d>e}f]g) ()[]{}<> " * 6,
        ),
        ("(" * 30 + ")" * 29, "([)]", "x)", "{<}>"),
    ),
    Subject(
        "arithmetic", "grammar", _SUMS,
        (
            "1 + 2 * 3 = 7",
            "(a - b) * (a + b) = a * a - b * b",
            "sin(x + ((y * 12) / -(3 - z))) = sin(" + "(" * 25 + "q" + ")" * 25 + ")",
        ),
        ("1 + = 2", "a b = c", "(1 + 2 = 3", "1 = 2 = 3", "sin() = 0"),
    ),
    Subject(
        "arithmetic, left recursive", "grammar", _SUMS_LEFT,
        (
            "1 + 2 * 3 = 7",
            "(a - b) * (a + b) = a * a - b * b",
            "sin(x + ((y * 12) / -(3 - z))) = sin(" + "(" * 25 + "q" + ")" * 25 + ")",
        ),
        ("1 + = 2", "a b = c", "(1 + 2 = 3", "1 = 2 = 3", "sin() = 0"),
    ),
    Subject(
        "ambiguous", "grammar", _AMBIGUOUS,
        (
            "a b c d e f g h",
            "if a then if b then c else d + e f", "if a",
            "x1 + (y2 z3 (abc 12 if a1 then b2)) + " + " + ".join("abcdefgh"),
        ),
        ("a + ", "()", "a  b", "(if a", "a +b"),
    ),
    Subject(
        "ambiguous, left recursive", "grammar", _AMBIGUOUS_LEFT,
        ("abc", "a+b+c+d", "(a+b)(c+d)ef+g", "abcdefghijklmnop"),
        ("+a", "a+", "()", "(a", "A"),
    ),
    *(
        Subject(f"{name} (GBNF sample)", "grammar", found.text, found.accepted, found.rejected)
        for name in ("json", "chess", "list")
        for found in (sample(name),)
    ),
)  # fmt: skip

REGEXES = (
    Subject(
        "date and time", "regex",
        r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,9})?"
        r"(Z|[+-]\d\d:\d\d)",
        ("2026-02-28T23:59:01Z", "1999-12-31T00:00:00.123456+05:30"),
        ("2026-13-01T00:00:00Z", "2026-01-01 00:00:00Z", "2026-01-01T24:00:00Z"),
    ),
    Subject(
        "web address", "regex",
        r"https?://([a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?\.)+[a-z]{2,10}(:[0-9]{1,5})?"
        r"(/[A-Za-z0-9._~%-]*)*(\?[a-z]+=[A-Za-z0-9]*(&[a-z]+=[A-Za-z0-9]*)*)?",
        ("https://www.example.com/a/b.html?q=12&page=3", "http://x-1.org:8080/"),
        ("ftp://example.com", "https://example", "https://-a.com/"),
    ),
    Subject(
        "rows of numbers", "regex",
        r"(-?(0|[1-9][0-9]*)(\.[0-9]+)?(,-?(0|[1-9][0-9]*)(\.[0-9]+)?){2,6}\n){1,12}",
        ("1,2,3\n-4.5,0,60.25\n", "0,0,0,0,0,0,0\n" * 4),
        ("1,2\n", "01,2,3\n", "1,2,3"),
    ),
    Subject(
        "words and quotes", "regex",
        r'([A-Z][a-z]+( [a-z]+){0,15}[.!?]|"([^"\\\n]|\\.)*") ?',
        ("The cat sat on the mat.", '"a \\"quoted\\" word" ', "Is it so?"),
        ("the cat.", '"open', "The cat  sat."),
    ),
    Subject(
        "twelfth from the end", "regex", r"(a|b)*a(a|b){11}",
        ("ab" * 20 + "abbbbbbbbbbb", "a" * 30),
        ("b" * 30, "a", "ab" * 3),
    ),
    Subject(
        "long count", "regex", r"[a-z ]{100,400}\.",
        ("some words " * 20 + ".", "a" * 100 + "."),
        ("short.", "A" * 120 + ".", "a" * 120),
    ),
)  # fmt: skip
SUBJECTS = (*GRAMMARS, *REGEXES)
