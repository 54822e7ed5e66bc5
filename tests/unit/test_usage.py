"""Wrong words on the command line are answered with the words that are right, before anything is read or sent."""

from __future__ import annotations

import re
import shlex

import click
import pytest

from devicelogin import errors, hints
from devicelogin.cli import habits, main
from devicelogin.cli.invocation import Invocation


def refusal(line: str) -> errors.UsageError:
    """Return the error that `devicelogin LINE` ends with."""
    words = shlex.split(line)
    with pytest.raises(errors.UsageError) as caught:
        main._run_command(words, Invocation(arguments=tuple(words)))
    return caught.value


FOREIGN = [
    ("auth login", "devicelogin login"),
    ("auth login --hostname x", "devicelogin login"),
    ("auth status", "devicelogin status"),
    ("auth token", "devicelogin token"),
    ("whoami", "devicelogin status"),
    ("list", "devicelogin status"),
    ("rest --method get --url https://graph.microsoft.com/v1.0/me", "devicelogin graph me"),
    ("account get-access-token --resource https://graph.microsoft.com", "devicelogin token"),
    ("account show", "devicelogin status"),
    ("signin", "devicelogin login"),
    ("sign-in", "devicelogin login"),
    ("logon", "devicelogin login"),
    ("get-token", "devicelogin token"),
    ("api me", "devicelogin graph me"),
    ("profile list", "devicelogin status"),
    ("version", "devicelogin --version"),
    ("me", "devicelogin graph me"),
    ("Connect-MgGraph -UseDeviceCode", "devicelogin login"),
    ("logoff", "devicelogin logout"),
    ("-p work whoami", "devicelogin status"),
    ("-v auth login", "devicelogin login"),
]


@pytest.mark.parametrize(("line", "ours"), FOREIGN)
def test_a_command_of_another_program_is_answered_with_ours(line: str, ours: str) -> None:
    """Whoever comes from az, gh or kubelogin gets the command to paste."""
    error = refusal(line)
    assert error.message.startswith("no such command '")
    assert error.hint == ours


def test_what_is_no_number_is_said_in_plain_words() -> None:
    """And not in the words of the library, as "not a valid integer range"."""
    assert refusal("token --min-valid x").message == "invalid value for '--min-valid': 'x' is not a whole number"


OPTIONS = [
    ("login --use-device-code", "always shows a code"),
    ("token --resource https://graph.microsoft.com", "--scope https://RESOURCE/.default"),
    ("graph -X POST /me/sendMail", "devicelogin graph POST PATH"),
    ("graph --method POST /me", "devicelogin graph POST PATH"),
    ("graph me --output F", "devicelogin graph PATH > FILE"),
    ("graph me -f name=x", "a body goes through --input"),
    ("graph me --body '{}'", "a body goes through --input"),
    ("graph --list", "devicelogin graph /me/messages"),
    ("token --decode", "devicelogin token --json"),
    ("login --client-secret x", "public clients"),
    ("login --tenant-id contoso.com", "devicelogin login --tenant TENANT"),
    ("login --scopes User.Read", "--scope User.Read --scope Mail.Read"),
    ("status --verbose", "devicelogin -v status"),
    ("--list", "devicelogin status"),
]


@pytest.mark.parametrize(("line", "words"), OPTIONS)
def test_an_option_of_another_program_is_answered_with_ours(line: str, words: str) -> None:
    """The option is named, and the hint says how the same is done here."""
    error = refusal(line)
    assert error.message.startswith("no such option '-")
    assert words in str(error.hint)


def test_every_answer_to_a_foreign_habit_is_a_command_or_option_that_exists() -> None:
    """What the tables tell people to type is taken: no entry may lead into the next error."""
    hints = [f"devicelogin {ours}" for ours in habits.COMMANDS.values()]
    hints += [hint for table in habits.OPTIONS.values() for hint in table.values()]
    tried = 0
    for hint in hints:
        for said in re.findall(r"devicelogin ([^;|>)\"]+)", hint):
            words = [word.strip(",;:") for word in said.split()]
            options = [word for word in words if re.fullmatch(r"--?[a-zA-Z][a-z-]*", word)]
            command, context = main._program, click.Context(main._program, info_name="devicelogin")
            names = {name for parameter in command.get_params(context) for name in parameter.opts}
            for word in words:
                if isinstance(command, click.Group) and (found := command.get_command(context, word)) is not None:
                    command, context = found, click.Context(found, context, word)
                    names |= {name for parameter in command.get_params(context) for name in parameter.opts}
            assert set(options) <= names, hint
            assert command is not main._program or options or words == ["COMMAND"], hint
            tried += 1
    assert tried > 150


@pytest.mark.parametrize(
    ("line", "near"),
    [
        ("long-in", "login"),
        ("log-in", "login"),
        ("STATUS", "status"),
        ("keep-alive", "keepalive"),
        ("token --minvalid 5", "--min-valid"),
        ("token --forcerefresh", "--force-refresh"),
        ("login --clientID x", "--client-id"),
        ("login --qrimage x.png", "--qr-image"),
        ("store mov", "move"),
    ],
)
def test_a_suggestion_is_found_whatever_the_dashes_and_capitals(line: str, near: str) -> None:
    """Dashes are most of what two options have in common, and not what people get right."""
    error = refusal(line)
    assert f"did you mean {near}?" in error.message or near in str(error.hint)


@pytest.mark.parametrize("line", ["token --frobnicate", "login --list-all-the-things", "token --x", "zzz", "token -x"])
def test_nothing_is_suggested_that_is_not_alike(line: str) -> None:
    """Two dashes and a letter in common are no likeness: the help is the way out."""
    error = refusal(line)
    assert "did you mean" not in error.message
    assert str(error.hint).endswith("--help")
    assert hints.nearest("--list", ["--input"]) is None


def test_swapped_letters_are_seen_in_short_names_of_profiles_too() -> None:
    """Two of three letters in another order are one slip."""
    assert hints.nearest("ba", ["home", "ab"]) == "ab"


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("keepalive --install", "devicelogin keepalive install"),
        ("--status", "devicelogin status"),
        ("logout --username ada", "each saved sign-in is a profile: --profile NAME"),
        ("login --username ada", "devicelogin login --expect-user USER"),
    ],
)
def test_a_foreign_option_leads_to_what_this_command_can_do(line: str, hint: str) -> None:
    """A command that was typed as an option is found; of `logout` nobody is led to sign in."""
    assert refusal(line).hint == hint


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("login work", "devicelogin login --profile work"),
        ("status work", "devicelogin status --profile work"),
        ("logout work", "devicelogin logout --profile work"),
        ("token work", "devicelogin token --profile work"),
        ("login ada@contoso.com", "devicelogin login --expect-user ada@contoso.com"),
        ("login contoso.com", "devicelogin login --tenant contoso.com"),
        (
            "login 11111111-2222-3333-4444-555555555555",
            "devicelogin login --client-id 11111111-2222-3333-4444-555555555555",
        ),
        ("token User.Read", "devicelogin token --scope User.Read"),
        ("token https://outlook.office.com/.default", "devicelogin token --scope https://outlook.office.com/.default"),
        ("login two words", "devicelogin login --help"),
        ("store move file", "devicelogin store move --to STORE"),
    ],
)
def test_a_word_after_a_command_that_takes_none_is_the_value_of_an_option(line: str, hint: str) -> None:
    """By its shape: a profile, a user, a tenant, a client id, a scope."""
    assert refusal(line).hint == hint


@pytest.mark.parametrize(
    ("line", "option", "command"),
    [
        ("login --client-id", "--client-id", "devicelogin login"),
        ("login --client-id --tenant contoso.com", "--client-id", "devicelogin login"),
        ("login --scope User.Read --scope", "--scope", "devicelogin login"),
        ("token --output-file --json", "--output-file", "devicelogin token"),
        ("token --scope", "--scope", "devicelogin token"),
        ("graph me --input", "--input", "devicelogin graph"),
        ("store move --to", "--to", "devicelogin store move"),
        ("store move --to --profile", "--to", "devicelogin store move"),
        ("keepalive --older-than", "--older-than", "devicelogin keepalive"),
        ("--profile", "--profile", "devicelogin"),
    ],
)
def test_an_option_without_its_value_is_named_with_the_help_of_its_command(
    line: str, option: str, command: str
) -> None:
    """Not of the program as a whole; and the next option is never taken for the value."""
    error = refusal(line)
    assert option in error.message
    assert error.hint == f"{command} --help"


def test_help_and_v_work_as_in_other_programs(capsys: pytest.CaptureFixture[str]) -> None:
    """`help`, `help COMMAND`, `help GROUP COMMAND` and `-V`."""
    for line, shown in (
        ("help", "Usage: devicelogin [OPTIONS] COMMAND"),
        ("help help", "Usage: devicelogin [OPTIONS] COMMAND"),
        ("help token", "Usage: devicelogin token"),
        ("help store move", "Usage: devicelogin store move"),
        ("-V", "devicelogin "),
    ):
        main._run_command(line.split(), Invocation())
        assert capsys.readouterr().out.startswith(shown)
    assert refusal("help nonsense").message == "no such command 'nonsense'"


GRAPH = [
    ("""POST /me/sendMail '{"a": 1}'""", "graph POST /me/sendMail --input FILE"),
    ("""POST '{"a": 1}'""", "--input FILE"),
    ("me '{}'", "--input FILE"),
    ("POST /me/sendMail @mail.json", "graph POST /me/sendMail --input mail.json"),
    ("PATCH /me jobTitle=Boss", "graph PATCH /me --input FILE"),
    ("'/users?=1'", "'/users?$top=1'"),
    ("'/me/messages?$select=subject&=5'", "'/users?$top=1'"),
    ("GET '/me/messages?=subject&=5'", "'/users?$top=1'"),
    ("'https://graph.microsoft.com/v1.0/users?=1'", "'/users?$top=1'"),
    ("GETT me", "devicelogin graph GET me"),
    ("GTE me", "devicelogin graph GET me"),
    ("PSOT /me/sendMail", "devicelogin graph POST /me/sendMail"),
    ("me GET", "devicelogin graph GET me"),
    ("/me/messages/1 delete", "devicelogin graph DELETE /me/messages/1"),
    ("POST", "devicelogin graph POST /me"),
    ("get", "devicelogin graph GET /me"),
    ("me messages", "one call has one path"),
    ("GET /me /you", "put quotes around the path"),
]


@pytest.mark.parametrize(("words", "hint"), GRAPH)
def test_graph_words_in_the_wrong_place_are_answered_with_the_right_ones(words: str, hint: str) -> None:
    """2, with what to type, whether or not somebody is signed in."""
    assert hint in str(refusal(f"graph {words}").hint)


def test_the_shell_that_took_the_dollar_is_named() -> None:
    """Graph would answer with all users, or with an error about something else."""
    assert "the shell replaced a word such as $top" in refusal("graph '/users?=1'").message
