//! Problems for people: message, line, caret and way out, as rustc shows them.

use std::path::PathBuf;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Snippet};

use super::Problem;
use super::text::Texts;

/// Knows how problems should look.
pub struct Renderer {
    inner: annotate_snippets::Renderer,
    base: PathBuf,
}

impl Renderer {
    /// Files below `base` are named relative to it.
    pub fn new(base: PathBuf, coloured: bool) -> Renderer {
        let inner = if coloured {
            annotate_snippets::Renderer::styled()
        } else {
            annotate_snippets::Renderer::plain()
        };
        Renderer { inner: inner.decor_style(DecorStyle::Ascii), base }
    }

    pub fn error(&self, problem: &Problem, texts: &Texts) -> String {
        self.render(Level::ERROR, problem, texts)
    }

    pub fn warning(&self, problem: &Problem, texts: &Texts) -> String {
        self.render(Level::WARNING, problem, texts)
    }

    fn render(&self, level: Level<'static>, problem: &Problem, texts: &Texts) -> String {
        let file = &problem.place.file;
        let path = file.strip_prefix(&self.base).unwrap_or(file).display().to_string();
        let group = level.primary_title(problem.message.as_str());
        let mut group: Group<'_> = match texts.get(file).filter(|_| problem.place.line > 0) {
            Some(text) => {
                let (line, shown, span) = text.shown(&text.span_of(problem));
                let caret = AnnotationKind::Primary.span(span);
                group.element(Snippet::source(shown).path(path).line_start(line).annotation(caret))
            }
            None => group.element(Origin::path(path)),
        };
        if let Some(hint) = &problem.hint {
            group = group.element(Level::HELP.message(hint.as_str()));
        }
        self.inner.render(&[group])
    }
}
