// The editor of a cell: CodeMirror, with the page's colors. Tab leaves it, so that the keyboard can.
import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { python } from "@codemirror/lang-python";
import { bracketMatching, HighlightStyle, indentOnInput, indentUnit, syntaxHighlighting } from "@codemirror/language";
import { EditorState } from "@codemirror/state";
import { drawSelection, EditorView, keymap } from "@codemirror/view";
import { tags } from "@lezer/highlight";

// Classes, not colors: live.css has those, for the light and the dark theme.
const highlight = HighlightStyle.define([
  { tag: tags.keyword, class: "live-keyword" },
  { tag: [tags.string, tags.special(tags.string)], class: "live-string" },
  { tag: tags.comment, class: "live-comment" },
  { tag: [tags.number, tags.bool, tags.null], class: "live-number" },
  { tag: [tags.definition(tags.variableName), tags.className], class: "live-name" },
]);

// Returns {text(), put(text), focus()}. `run` is called on Shift+Enter, `changed` after each change.
export function edit(parent, text, { label, run, changed }) {
  const keys = [{ key: "Shift-Enter", run: () => (run(), true) }, ...defaultKeymap, ...historyKeymap];
  const extensions = [
    keymap.of(keys),
    history(),
    python(),
    indentUnit.of("    "),
    indentOnInput(),
    bracketMatching(),
    drawSelection(),
    EditorView.lineWrapping, // nothing scrolls sideways
    syntaxHighlighting(highlight),
    EditorView.contentAttributes.of({ "aria-label": label }),
    EditorView.updateListener.of((update) => update.docChanged && changed()),
  ];
  const view = new EditorView({ parent, state: EditorState.create({ doc: text, extensions }) });
  return {
    text: () => view.state.doc.toString(),
    put: (now) => view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: now } }),
    focus: () => view.focus(),
  };
}
