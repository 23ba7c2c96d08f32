//! The walk as a state machine: a variable, a step, a field, the review; forward, back, or out.
//!
//! Answers come from [`Ask`], pages go to [`Ui`]. A value that does not fit is asked for again; a secret is
//! never shown and never written to the progress file.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::progress::{Progress, Sitting};
use super::source::{Given, read_file};
use super::view::{self, HIDDEN, Line, say_marked, say_remark, say_trouble};
use crate::credential::format::{
    Accepted, Answers, Checked, Misfit, Remark, RemarkKind, accept, belongs_to, check_all, check_var, settle_vars,
    swapped, twin_of, twin_warning,
};
use crate::credential::{CredentialName, DEFAULT_PROFILE};
use crate::provider::{Field, Normalise, Provider, Shape, Step, Var};
use crate::secret::Secret;
use crate::ui::ask::{Answer, Ask, AskError, COMMANDS, Lines, Question};
use crate::ui::page::{render, wrap};
use crate::ui::{Dress, Ui};

/// What is to be set up, and what is known already.
pub struct Plan<'a> {
    /// The service.
    pub provider: &'a Provider,
    /// SHA-256 of the provider file, as `sha256:<hex>`: progress made with another file is not taken up.
    pub provider_rev: &'a str,
    /// What the credential will be called.
    pub name: &'a CredentialName,
    /// What came from outside. It is not asked for again, unless it does not fit.
    pub given: Given,
    /// Where an unfinished walk is kept.
    pub progress: &'a Progress,
    /// What `~` stands for in `@~/key.json`.
    pub home: Option<&'a Path>,
}

/// How the walk ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Walked {
    /// Everything is there and fits.
    Done {
        /// The credential, and the remarks, which were shown already.
        checked: Checked,
        /// The ids of steps that were skipped.
        skipped: Vec<String>,
    },
    /// The operator quit; what is not secret is kept for the next time.
    Quit,
}

/// Walks through the set-up. When everything needed was given, nothing is shown or asked.
///
/// # Errors
///
/// [`AskError`] when nobody answers any more. After [`AskError::Interrupted`] no file is left behind that was
/// not there before; a terminal that went away leaves the progress.
pub fn walk(plan: Plan<'_>, ask: &mut dyn Ask, ui: &Ui) -> Result<Walked, AskError> {
    // What others have is no reason not to show this person's steps.
    let is_own = |id: &String| plan.provider.field(id).is_some_and(|field| !field.is_retired());
    if let Ok(checked) = check_all(plan.provider, plan.name, &plan.given.answers)
        && plan.given.answers.fields.keys().any(is_own)
    {
        checked.remarks.iter().for_each(|remark| say_remark(ui, remark));
        forget(&plan);
        return Ok(Walked::Done { checked, skipped: Vec::new() });
    }
    let had_progress = plan.progress.path(plan.name).is_some_and(|path| path.exists());
    let mut walker = Walker::new(plan, ask, ui);
    let outcome = walker.run();
    let is_over = match &outcome {
        Ok(Walked::Done { .. }) => true,
        Err(AskError::Interrupted) => !had_progress,
        _ => false,
    };
    if is_over {
        forget(&walker.plan);
    }
    outcome
}

/// Asks anew for `fields` (or variables) of a credential whose other values stay as they were given; all of its secrets
/// when none is named. No step is shown.
///
/// # Errors
///
/// As [`walk`].
pub fn amend(plan: Plan<'_>, fields: &[String], ask: &mut dyn Ask, ui: &Ui) -> Result<Walked, AskError> {
    let provider = plan.provider;
    let mut walker = Walker::new(plan, ask, ui);
    walker.keeps_progress = false;
    loop {
        for (index, _) in provider.var.iter().enumerate().filter(|(_, var)| fields.contains(&var.id)) {
            if let Turn::Quit = walker.at_var(index)? {
                return Ok(Walked::Quit);
            }
        }
        for (index, field) in provider.field.iter().enumerate() {
            let is_meant = if fields.is_empty() { field.secret } else { fields.contains(&field.id) };
            if is_meant
                && walker.is_asked(field, &walker.settled())
                && let Turn::Quit = walker.at_field(index)?
            {
                return Ok(Walked::Quit);
            }
        }
        match check_all(provider, walker.plan.name, &walker.answers) {
            Ok(checked) => return Ok(Walked::Done { checked, skipped: Vec::new() }),
            Err(misfits) => misfits.iter().for_each(|misfit| walker.say_misfit(&misfit.label, misfit)),
        }
    }
}

fn forget(plan: &Plan<'_>) {
    // The worst that stays behind is an offer to go on, which can be declined.
    let _ = plan.progress.remove(plan.name);
}

/// Where the walk stands. The order is the order of the walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stop {
    Var(usize),
    Step(usize),
    /// A field that no step asks for.
    Field(usize),
    Review,
}

/// Where to go from a stop, or from a question.
#[derive(Debug, PartialEq, Eq)]
enum Turn {
    Next,
    Back,
    Show,
    Quit,
    Finish(Box<Checked>),
}

/// A value that can be chosen for a variable.
struct Offer {
    shown: String,
    /// What is kept: the id of a preset, so that it follows the variables it is made of.
    id: String,
    value: String,
}

struct Walker<'a> {
    plan: Plan<'a>,
    ask: &'a mut dyn Ask,
    ui: &'a Ui,
    /// Accepted values, and variables as they were chosen.
    answers: Answers,
    skipped: BTreeSet<String>,
    keeps_progress: bool,
}

impl<'a> Walker<'a> {
    fn new(mut plan: Plan<'a>, ask: &'a mut dyn Ask, ui: &'a Ui) -> Self {
        let answers = std::mem::take(&mut plan.given.answers);
        Self { plan, ask, ui, answers, skipped: BTreeSet::new(), keeps_progress: true }
    }

    fn run(&mut self) -> Result<Walked, AskError> {
        self.greet();
        self.sift();
        let mut at = match self.resume()? {
            Some(stop) => stop,
            None => self.stops().first().copied().unwrap_or(Stop::Review),
        };
        loop {
            let turn = match at {
                Stop::Var(index) => self.at_var(index)?,
                Stop::Step(index) => self.at_step(index)?,
                Stop::Field(index) => self.at_field(index)?,
                Stop::Review => self.at_review()?,
            };
            match turn {
                Turn::Next => {
                    at = self.stops().into_iter().find(|stop| *stop > at).unwrap_or(Stop::Review);
                    if at > Stop::Step(0) {
                        self.keep(at);
                    }
                }
                Turn::Back => match self.stops().into_iter().rfind(|stop| *stop < at) {
                    Some(before) => at = before,
                    None => self.note("this is the first page"),
                },
                Turn::Show => {}
                Turn::Quit => {
                    self.keep(at);
                    self.part();
                    return Ok(Walked::Quit);
                }
                Turn::Finish(checked) => {
                    let skipped = self.skipped.iter().cloned().collect();
                    return Ok(Walked::Done { checked: *checked, skipped });
                }
            }
        }
    }

    /// The stops that apply as things stand.
    fn stops(&self) -> Vec<Stop> {
        let (provider, settled) = (self.plan.provider, self.settled());
        let vars = (0..)
            .map(Stop::Var)
            .zip(&provider.var)
            .filter(|(_, var)| !self.plan.given.origins.contains_key(&var.id) && settled.meet(var.when.as_ref()));
        let steps = (0..).map(Stop::Step).zip(&provider.step).filter(|(_, step)| settled.meet(step.when.as_ref()));
        let captured: Vec<&String> = steps.clone().flat_map(|(_, step)| &step.capture).collect();
        let fields = (0..)
            .map(Stop::Field)
            .zip(&provider.field)
            .filter(|(_, field)| self.is_asked(field, &settled) && !captured.contains(&&field.id));
        let stops = vars.map(|(stop, _)| stop).chain(steps.clone().map(|(stop, _)| stop));
        stops.chain(fields.map(|(stop, _)| stop)).chain([Stop::Review]).collect()
    }

    /// The answers with every variable settled, as conditions and texts see them.
    fn settled(&self) -> Answers {
        let (vars, _) = settle_vars(self.plan.provider, &self.answers.vars);
        Answers { fields: self.answers.fields.clone(), vars }
    }

    /// Whether a field is asked for: it is still handed out, applies, is not taken from a document, and was not given.
    fn is_asked(&self, field: &Field, settled: &Answers) -> bool {
        field.derive.is_none()
            && !field.is_retired()
            && settled.meet(field.when.as_ref())
            && !self.plan.given.origins.contains_key(&field.id)
    }

    fn note(&self, text: &str) {
        say_marked(self.ui, &self.ui.err_paint(Dress::Dim, "·"), text);
    }

    fn say_misfit(&self, label: &str, misfit: &Misfit) {
        let what = format!("{label} {}", misfit.what);
        say_trouble(self.ui, &what, misfit.expected.as_deref(), misfit.hint.as_deref());
    }

    fn greet(&self) {
        let (ui, about) = (self.ui, &self.plan.provider.provider);
        let profile = match self.plan.name.profile() {
            DEFAULT_PROFILE => String::new(),
            profile => format!(" (profile {profile})"),
        };
        ui.always(&format!("{}{profile}", ui.err_paint(Dress::Bold, &crate::ui::plain(&about.name))));
        self.help(Some(&about.summary));
        let help = format!("At a question: {COMMANDS}, or @FILE. Esc leaves a list.");
        for line in wrap(&help, ui.width(), "  ", "  ", ui.err_has_color()) {
            ui.always(&ui.err_paint(Dress::Dim, &line));
        }
    }

    /// Takes out of what was given whatever does not fit: it is asked for like the rest.
    fn sift(&mut self) {
        let provider = self.plan.provider;
        for field in &provider.field {
            let Some(raw) = self.answers.fields.remove(&field.id) else { continue };
            // To be looked at; it stays wrapped.
            match accept(provider, field, raw.expose()) {
                Ok(accepted) => self.take(field, &accepted),
                Err(misfit) => {
                    self.say_misfit(&field.label, &misfit);
                    if let Some(origin) = self.plan.given.origins.remove(&field.id) {
                        self.note(&format!("it came from {origin}, and is asked for instead"));
                    }
                }
            }
        }
        let (_, misfits) = settle_vars(provider, &self.answers.vars);
        for misfit in misfits.iter().filter(|misfit| !misfit.is_missing) {
            if self.plan.given.origins.remove(&misfit.place).is_some() {
                self.say_misfit(&misfit.label, misfit);
            }
            self.answers.vars.remove(&misfit.place);
        }
    }

    /// Takes up what an earlier sitting left, if the operator wants it.
    fn resume(&mut self) -> Result<Option<Stop>, AskError> {
        let sitting = match self.plan.progress.load(self.plan.name) {
            Ok(None) => return Ok(None),
            Ok(Some(sitting)) if sitting.provider_rev == self.plan.provider_rev => sitting,
            Ok(Some(_)) => {
                self.note("an earlier start is not taken up: the steps have changed since");
                return Ok(None);
            }
            Err(_) => {
                let path = self.plan.progress.path(self.plan.name).unwrap_or_default();
                self.note(&format!("an earlier start is not taken up: {} cannot be read", path.display()));
                return Ok(None);
            }
        };
        let before = self.answers.clone();
        self.restore(&sitting);
        let stops = self.stops();
        let steps: Vec<usize> =
            stops.iter().filter_map(|stop| if let Stop::Step(index) = stop { Some(*index) } else { None }).collect();
        let place = sitting
            .step
            .as_ref()
            .and_then(|id| steps.iter().position(|index| &self.plan.provider.step[*index].id == id));
        let question = match place {
            Some(place) => format!("Continue at step {} of {}?", place + 1, steps.len()),
            None => "Continue after the last step?".to_owned(),
        };
        if !self.ask.confirm(&question, true)? {
            self.answers = before;
            return Ok(None);
        }
        if self.plan.provider.field.iter().any(|field| field.secret) {
            self.note("secrets are not kept between two sittings: they are asked for again");
        }
        Ok(Some(match place {
            Some(place) => Stop::Step(steps[place]),
            None => stops.into_iter().find(|stop| *stop > Stop::Step(usize::MAX)).unwrap_or(Stop::Review),
        }))
    }

    /// Takes over what still fits and was not given anew.
    fn restore(&mut self, sitting: &Sitting) {
        for (id, value) in &sitting.vars {
            if !self.answers.vars.contains_key(id) && self.plan.provider.var(id).is_some() {
                self.answers.vars.insert(id.clone(), value.clone());
            }
        }
        for (id, text) in &sitting.fields {
            let field = self.plan.provider.field(id).filter(|field| !field.secret && field.derive.is_none());
            let Some(field) = field.filter(|_| !self.answers.fields.contains_key(id)) else { continue };
            if let Ok(accepted) = accept(self.plan.provider, field, text) {
                self.take(field, &accepted);
            }
        }
    }

    /// Writes down how far the walk has come. A secret is left out.
    fn keep(&mut self, at: Stop) {
        if !self.keeps_progress {
            return;
        }
        let provider = self.plan.provider;
        let step = match at {
            Stop::Var(_) => provider.step.first(),
            Stop::Step(index) => provider.step.get(index),
            Stop::Field(_) | Stop::Review => None,
        };
        let mut sitting = Sitting::new(self.plan.provider_rev, step.map(|step| step.id.as_str()));
        sitting.vars = self.answers.vars.clone();
        let open = provider.field.iter().filter(|field| !field.secret);
        sitting.fields = open
            // Not secret: the file may be read by its owner.
            .filter_map(|field| Some((field.id.clone(), self.answers.field(&field.id)?.expose().to_owned())))
            .collect();
        if let Err(error) = self.plan.progress.save(self.plan.name, &sitting) {
            self.keeps_progress = false;
            self.note(&format!("how far you have come cannot be kept: {}", error.kind()));
        }
    }

    /// Says how to go on, when something was kept.
    fn part(&self) {
        if self.keeps_progress && self.plan.progress.path(self.plan.name).is_some() {
            self.ui.always("");
            self.note(&format!("kept, but no secret: `keyward setup {}` goes on here", self.plan.name));
        }
    }

    fn take(&mut self, field: &Field, accepted: &Accepted) {
        // From one wrapping into the other.
        self.answers.fields.insert(field.id.clone(), Secret::from(accepted.value.expose()));
    }

    fn at_var(&mut self, index: usize) -> Result<Turn, AskError> {
        let Some(var) = self.plan.provider.var.get(index) else { return Ok(Turn::Next) };
        self.ui.always("");
        self.ask_var(var)
    }

    fn ask_var(&mut self, var: &Var) -> Result<Turn, AskError> {
        if var.preset.is_empty() && var.choices.is_empty() { self.type_var(var) } else { self.choose_var(var) }
    }

    /// Offers the known values, and another one where the file allows it.
    fn choose_var(&mut self, var: &Var) -> Result<Turn, AskError> {
        let offers = self.offers(var);
        let now = self.settled().vars.get(&var.id).cloned();
        let chosen = offers.iter().position(|offer| Some(&offer.value) == now.as_ref()).unwrap_or(0);
        let mut items: Vec<String> = offers.iter().map(|offer| offer.shown.clone()).collect();
        if var.choices.is_empty() {
            items.push("Another value".to_owned());
        }
        self.help(var.help.as_deref());
        loop {
            match self.ask.choose(&var.label, &items, chosen)? {
                None => return Ok(Turn::Back),
                Some(chosen) => match offers.get(chosen) {
                    Some(offer) => {
                        self.answers.vars.insert(var.id.clone(), offer.id.clone());
                        return Ok(Turn::Next);
                    }
                    None => match self.type_value(var, None)? {
                        Turn::Back => {}
                        turn => return Ok(turn),
                    },
                },
            }
        }
    }

    /// The choices, the presets, and the present value where it is none of them.
    fn offers(&self, var: &Var) -> Vec<Offer> {
        let settled = self.settled();
        let choice = |text: &String| Offer { shown: text.clone(), id: text.clone(), value: text.clone() };
        let mut offers: Vec<Offer> = var.choices.iter().map(choice).collect();
        let widest = var.preset.iter().map(|preset| preset.label.chars().count()).max().unwrap_or(0);
        for preset in &var.preset {
            let value = view::filled(self.plan.provider, &preset.value, &settled);
            offers.push(Offer { shown: format!("{:widest$}  {value}", preset.label), id: preset.id.clone(), value });
        }
        if let Some(now) = settled.vars.get(&var.id).filter(|now| offers.iter().all(|offer| offer.value != **now)) {
            let offer = Offer { shown: format!("{:widest$}  {now}", "As it is"), id: now.clone(), value: now.clone() };
            offers.insert(0, offer);
        }
        offers
    }

    /// Asks for a variable that is typed.
    fn type_var(&mut self, var: &Var) -> Result<Turn, AskError> {
        self.help(var.help.as_deref());
        self.help(var.example.as_ref().map(|example| format!("For example: {example}")).as_deref());
        let kept = self.settled().vars.get(&var.id).cloned();
        self.type_value(var, kept.as_deref())
    }

    fn type_value(&mut self, var: &Var, kept: Option<&str>) -> Result<Turn, AskError> {
        let question = Question { label: &var.label, kept, optional: !var.required, ..Question::default() };
        loop {
            let value = match self.ask.line(&question)? {
                Answer::Value(text) => text.trim().to_owned(),
                Answer::Keep => return Ok(Turn::Next),
                Answer::Back => return Ok(Turn::Back),
                Answer::Quit => return Ok(Turn::Quit),
                Answer::Show => return Ok(Turn::Show),
                Answer::Skip => String::new(),
            };
            if value.is_empty() {
                if var.required {
                    self.needed(&var.label);
                    continue;
                }
                self.answers.vars.remove(&var.id);
                return Ok(Turn::Next);
            }
            match check_var(var, &value) {
                Ok(warnings) => {
                    for text in warnings {
                        let (place, label) = (var.id.clone(), var.label.clone());
                        say_remark(self.ui, &Remark { place, label, kind: RemarkKind::Warning, text });
                    }
                    self.answers.vars.insert(var.id.clone(), value);
                    return Ok(Turn::Next);
                }
                Err(misfit) => self.say_misfit(&var.label, &misfit),
            }
        }
    }

    fn needed(&self, label: &str) {
        say_trouble(
            self.ui,
            &format!("{label} is needed"),
            None,
            Some("`:quit` leaves and keeps what was entered, but no secret"),
        );
    }

    fn help(&self, text: Option<&str>) {
        if let Some(text) = text {
            let lines = wrap(text, self.ui.width().min(88), "  ", "  ", self.ui.err_has_color());
            self.ui.always(&lines.join("\n"));
        }
    }

    /// Shows a step, then asks for what is known after it.
    fn at_step(&mut self, index: usize) -> Result<Turn, AskError> {
        let Some(step) = self.plan.provider.step.get(index) else { return Ok(Turn::Next) };
        self.show_step(index, step);
        if self.captured(step).is_empty() {
            return self.is_done(step);
        }
        let mut at = 0;
        // Looked up each time: one answer may make another question apply.
        while let Some(field) = self.captured(step).get(at).copied() {
            match self.ask_field(field)? {
                Turn::Next => at += 1,
                Turn::Back if at > 0 => at -= 1,
                turn => return Ok(turn),
            }
        }
        Ok(Turn::Next)
    }

    /// The fields that a step asks for as things stand.
    fn captured(&self, step: &'a Step) -> Vec<&'a Field> {
        let settled = self.settled();
        let fields = step.capture.iter().filter_map(|id| self.plan.provider.field(id));
        fields.filter(|field| self.is_asked(field, &settled)).collect()
    }

    fn show_step(&self, index: usize, step: &'a Step) {
        let steps: Vec<Stop> = self.stops().into_iter().filter(|stop| matches!(stop, Stop::Step(_))).collect();
        let number = steps.iter().filter(|stop| **stop <= Stop::Step(index)).count();
        let labels = self.captured(step).iter().map(|field| field.label.clone()).collect();
        let page = view::page(self.plan.provider, step, (number, steps.len()), &self.settled(), labels);
        self.ui.always(&render(&page, self.ui.width(), self.ui.err_has_color()));
        for id in &step.capture {
            if let (Some(field), Some(origin)) = (self.plan.provider.field(id), self.plan.given.origins.get(id)) {
                let mark = self.ui.err_paint(Dress::Good, "✓");
                self.ui.always(&format!("{mark} {} is known, from {origin}", field.label));
            }
        }
    }

    /// Waits until a step without questions is done.
    fn is_done(&mut self, step: &Step) -> Result<Turn, AskError> {
        let items = ["Done, go on", "Skip this step", "Back", "Show it again", "Quit for now"].map(str::to_owned);
        let turn = match self.ask.choose("This step", &items, 0)? {
            Some(0) => {
                self.skipped.remove(&step.id);
                Turn::Next
            }
            Some(1) => {
                self.skipped.insert(step.id.clone());
                Turn::Next
            }
            Some(3) => Turn::Show,
            Some(4) => Turn::Quit,
            _ => Turn::Back,
        };
        Ok(turn)
    }

    fn at_field(&mut self, index: usize) -> Result<Turn, AskError> {
        let Some(field) = self.plan.provider.field.get(index) else { return Ok(Turn::Next) };
        self.ui.always("");
        self.ask_field(field)
    }

    /// Asks for one field until it fits, is skipped, or the operator turns away.
    fn ask_field(&mut self, field: &Field) -> Result<Turn, AskError> {
        self.help(field.help.as_deref());
        loop {
            // What is not secret is shown as it was entered.
            let kept = self.answers.field(&field.id).map(|text| if field.secret { HIDDEN } else { text.expose() });
            let kept = kept.map(str::to_owned);
            let lines = match field.kind {
                Shape::Pem => Lines::Pem,
                Shape::Json => Lines::Json,
                _ => Lines::One,
            };
            let question = Question { label: &field.label, kept: kept.as_deref(), optional: !field.required, lines };
            let answer =
                if field.secret { self.ask.secret(&question)? } else { self.ask.line(&question)?.map(Secret::new) };
            match answer {
                Answer::Keep => return Ok(Turn::Next),
                Answer::Back => return Ok(Turn::Back),
                Answer::Show => return Ok(Turn::Show),
                Answer::Quit => return Ok(Turn::Quit),
                Answer::Skip if field.required => self.needed(&field.label),
                Answer::Skip => {
                    self.answers.fields.remove(&field.id);
                    return Ok(Turn::Next);
                }
                Answer::Value(typed) => {
                    if let Some(text) = self.content(field, typed)
                        && self.enter(field, &text)?
                    {
                        return Ok(Turn::Next);
                    }
                }
            }
        }
    }

    /// The content of the file that `@PATH` names; anything else as it is.
    fn content(&self, field: &Field, typed: Secret) -> Option<Secret> {
        // Looked at for the sign that it is a path.
        let Some(rest) = typed.expose().strip_prefix('@') else { return Some(typed) };
        if rest.starts_with('@') {
            return Some(Secret::from(rest));
        }
        if field.format.normalise.contains(&Normalise::At) {
            return Some(typed);
        }
        match read_file(&self.path(rest)) {
            Ok(text) => Some(text),
            Err(why) => {
                // Never the path: it may be a secret that begins with `@`.
                let hint = "a value that begins with `@` is written `@@…`";
                say_trouble(self.ui, &format!("the file cannot be read: {why}"), None, Some(hint));
                None
            }
        }
    }

    /// A path as people type it, or drop it on a terminal: with `~`, quotes, a blank behind it.
    fn path(&self, typed: &str) -> PathBuf {
        let typed = typed.trim();
        let quoted = ['\'', '"'].iter().find_map(|quote| typed.strip_prefix(*quote)?.strip_suffix(*quote));
        let path = Path::new(quoted.unwrap_or(typed));
        match (path.strip_prefix("~"), self.plan.home) {
            (Ok(rest), Some(home)) => home.join(rest),
            _ => path.to_owned(),
        }
    }

    /// Takes a value if it fits; says what is wrong if it does not. Whether the question is answered.
    fn enter(&mut self, field: &Field, typed: &Secret) -> Result<bool, AskError> {
        // To be looked at; it stays wrapped.
        let outcome = accept(self.plan.provider, field, typed.expose());
        let is_odd = outcome.as_ref().map_or(true, |accepted| !accepted.warnings.is_empty());
        if is_odd && self.exchange(field, typed)? {
            return Ok(true);
        }
        match outcome {
            Ok(accepted) => {
                accepted.remarks(field).iter().for_each(|remark| say_remark(self.ui, remark));
                self.take(field, &accepted);
                if let Some(twin) = twin_of(self.plan.provider, field, &self.answers) {
                    say_remark(self.ui, &twin_warning(field, twin));
                }
                Ok(true)
            }
            Err(misfit) => {
                self.say_misfit(&field.label, &misfit);
                self.move_over(field, typed)?;
                Ok(false)
            }
        }
    }

    /// Offers to exchange two values that fit better the other way round. Whether that was done.
    fn exchange(&mut self, field: &Field, typed: &Secret) -> Result<bool, AskError> {
        let provider = self.plan.provider;
        let mut trial = self.settled();
        trial.fields.insert(field.id.clone(), typed.clone());
        let Some((a, b)) = swapped(provider, &trial).filter(|(a, b)| *a == field.id || *b == field.id) else {
            return Ok(false);
        };
        let (Some(a), Some(b)) = (provider.field(&a), provider.field(&b)) else { return Ok(false) };
        self.note(&format!("the values of {} and {} look swapped", a.label, b.label));
        if !self.ask.confirm("Exchange them?", true)? {
            return Ok(false);
        }
        for (to, from) in [(a, b), (b, a)] {
            // From one wrapping into the other.
            let raw = trial.field(&from.id).map(Secret::expose).unwrap_or_default();
            if let Ok(accepted) = accept(provider, to, raw) {
                accepted.remarks(to).iter().for_each(|remark| say_remark(self.ui, remark));
                self.take(to, &accepted);
            }
        }
        Ok(true)
    }

    /// Offers to take a misplaced value for the field that it belongs to.
    fn move_over(&mut self, field: &Field, typed: &Secret) -> Result<(), AskError> {
        let provider = self.plan.provider;
        let settled = self.settled();
        let other = belongs_to(provider, field, typed, &settled);
        let Some(other) = other.filter(|other| self.is_asked(other, &settled) && settled.field(&other.id).is_none())
        else {
            return Ok(());
        };
        if self.ask.confirm(&format!("It looks like the value of {}. Use it there?", other.label), true)?
            // From one wrapping into the other.
            && let Ok(accepted) = accept(provider, other, typed.expose())
        {
            accepted.remarks(other).iter().for_each(|remark| say_remark(self.ui, remark));
            self.take(other, &accepted);
        }
        Ok(())
    }

    /// Asks for what is still missing, shows everything, and lets it be changed.
    fn at_review(&mut self) -> Result<Turn, AskError> {
        let checked = match check_all(self.plan.provider, self.plan.name, &self.answers) {
            Ok(checked) => checked,
            Err(misfits) => return self.mend(&misfits),
        };
        self.ui.always(&view::review(self.ui, self.plan.provider, &self.review_lines(&checked)));
        for number in self.skipped_numbers() {
            self.note(&format!("step {number} was skipped"));
        }
        let spoken = checked.remarks.iter().filter(|remark| remark.kind != RemarkKind::Note);
        spoken.for_each(|remark| say_remark(self.ui, remark));
        let items = ["Yes, go on", "Change a value", "Back", "Quit for now"].map(str::to_owned);
        match self.ask.choose("Review", &items, 0)? {
            Some(0) => Ok(Turn::Finish(Box::new(checked))),
            Some(1) => self.change(),
            Some(3) => Ok(Turn::Quit),
            _ => Ok(Turn::Back),
        }
    }

    /// Which of the steps that apply were skipped, from 1.
    fn skipped_numbers(&self) -> Vec<usize> {
        let stops = self.stops();
        let steps = stops.iter().filter_map(|stop| if let Stop::Step(index) = stop { Some(*index) } else { None });
        let steps = (1..).zip(steps.filter_map(|index| self.plan.provider.step.get(index)));
        steps.filter(|(_, step)| self.skipped.contains(&step.id)).map(|(number, _)| number).collect()
    }

    /// Asks for the first thing that is missing or does not fit; the review then looks again.
    fn mend(&mut self, misfits: &[Misfit]) -> Result<Turn, AskError> {
        let Some(misfit) = misfits.first() else { return Ok(Turn::Show) };
        if !misfit.is_missing {
            self.say_misfit(&misfit.label, misfit);
        }
        let provider = self.plan.provider;
        self.ui.always("");
        let turn = if let Some(field) = provider.field(&misfit.place) {
            // What was taken from a document is mended there, unless there is none.
            let source = field.derive.as_ref().and_then(|derive| provider.field(&derive.from));
            let source = source.filter(|source| self.answers.field(&source.id).is_some());
            if let Some(source) = source {
                self.answers.fields.remove(&source.id);
            }
            self.ask_field(source.unwrap_or(field))?
        } else if let Some(var) = provider.var(&misfit.place) {
            self.ask_var(var)?
        } else {
            Turn::Back
        };
        // The review comes again.
        Ok(if turn == Turn::Next { Turn::Show } else { turn })
    }

    fn review_lines(&self, checked: &Checked) -> Vec<Line> {
        let provider = self.plan.provider;
        let vars = provider.var.iter().filter_map(|var| {
            Some(Line { label: var.label.clone(), value: checked.credential.vars.get(&var.id)?.clone() })
        });
        let fields = provider.field.iter().filter_map(|field| {
            let value = checked.credential.fields.get(&field.id)?;
            // Only what is not secret is shown.
            let value = if value.is_secret() { HIDDEN.to_owned() } else { value.expose().to_owned() };
            Some(Line { label: field.label.clone(), value })
        });
        vars.chain(fields).collect()
    }

    /// Lets one value be entered again.
    fn change(&mut self) -> Result<Turn, AskError> {
        let provider = self.plan.provider;
        let settled = self.settled();
        let vars: Vec<&Var> = provider.var.iter().filter(|var| settled.meet(var.when.as_ref())).collect();
        let fields = provider.field.iter();
        let fields: Vec<&Field> =
            fields.filter(|field| field.derive.is_none() && settled.meet(field.when.as_ref())).collect();
        let labels = vars.iter().map(|var| &var.label).chain(fields.iter().map(|field| &field.label));
        let items: Vec<String> = labels.cloned().collect();
        let turn = match self.ask.choose("Which one?", &items, 0)? {
            None => Turn::Back,
            Some(chosen) => match vars.get(chosen) {
                Some(var) => self.ask_var(var)?,
                None => self.ask_field(fields[chosen - vars.len()])?,
            },
        };
        // Changed or not, the review comes again.
        Ok(if turn == Turn::Quit { Turn::Quit } else { Turn::Show })
    }
}
