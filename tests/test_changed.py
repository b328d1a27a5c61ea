"""What a change is proven by: each page, module and test is known and leads to files that exist."""

import changed
import pytest
from answers import REPOSITORY
from test_alone import CHAPTERS, RUN

TRACKED = changed.git("ls-files")


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_chapter_is_proven_alone_and_its_modules_by_their_tests(name):
    found = changed.guards(f"book/chapters/{name}.py")
    ids = [test.partition("[")[2].strip("]") for test in found if "test_alone" in test]
    assert ids == [name] and (name in RUN or name == "19_shakespeare")
    assert ("tests/test_gradients.py" in found) == (name in WITH_LAYERS)


WITH_LAYERS = {
    *("01_gradients", "02_module", "03_linear", "04_activations", "05_softmax_cross_entropy"),
    *("08_embedding", "09_layernorm", "10_attention", "11_transformer", "12_gpt", "22_rotary"),
    *("23_modern_gpt", "27_finetuning"),
}


def test_every_module_and_test_is_known_and_leads_to_files_that_are_there():
    for path in TRACKED:
        ours = path.startswith(("numpygpt/", "tests/test_", "tests/widgets/test_"))
        if ours and path.endswith(".py"):
            found = changed.guards(path)
            assert found and all((REPOSITORY / test).is_file() for test in found), path
    assert changed.guards("coursekit/grading/jail.py") is None
    assert changed.guards("notebooks/03_linear.ipynb") == []


def test_a_set_is_proven_by_the_tests_of_its_tasks():
    found = changed.guards("book/checks/03_linear.py")
    right = "tests/test_answers.py::test_right_answers_of_every_style_are_accepted"
    assert f"{right}[03_linear-linear-backward]" in found
    assert "solutions/03_linear.ipynb" in found
    assert not [test for test in found if "[" in test and "03_linear" not in test]


def test_what_differs_is_what_git_says_and_new_files(tmp_path, monkeypatch):
    monkeypatch.setattr(changed, "ROOT", tmp_path)
    for words in (["init", "-q"], ["config", "user.name", "x"], ["config", "user.email", "x"]):
        changed.git(*words)
    for name in ("same", "edited", "gone"):
        (tmp_path / name).write_text("1")
    changed.git("add", ".")
    changed.git("commit", "-qm", "first")
    (tmp_path / "edited").write_text("2")
    (tmp_path / "gone").unlink()
    (tmp_path / "new file").write_text("1")
    assert changed.changed("HEAD") == ["edited", "new file"]
    with pytest.raises(SystemExit, match="changed: "):
        changed.changed("no such commit")
