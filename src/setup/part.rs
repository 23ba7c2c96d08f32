//! One person's part of a set-up that takes several.

use crate::provider::{Provider, Status};

/// The provider as the person `persona` walks it: with the steps of this person, and of nobody in particular.
///
/// What others have is to this person as if it were gone: neither asked for nor required, and kept where it is known.
pub fn part(provider: &Provider, persona: &str) -> Provider {
    let is_other = |whose: &Option<String>| whose.as_deref().is_some_and(|whose| whose != persona);
    let mut part = provider.clone();
    part.step.retain(|step| !is_other(&step.persona));
    part.field.iter_mut().filter(|field| is_other(&field.persona)).for_each(|field| field.status = Status::Retired);
    part
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::CredentialName;
    use crate::provider::parse::parse;
    use crate::secret::Secret;
    use crate::setup::{Given, collect};

    fn provider() -> Provider {
        let text = "schema = 1\n[provider]\nid = 'acme'\nname = 'A'\nsummary = 's'\ncategory = 'sms'\nstatus = 'active'\n\
                    [provenance]\nreviewed = '2026-11-21'\nsource = []\n\
                    [[persona]]\nid = 'admin'\nlabel = 'Administrator'\n[[persona]]\nid = 'dev'\nlabel = 'Developer'\n\
                    [[step]]\nid = 'all'\ntext = 'x'\n[[step]]\nid = 'allow'\ntext = 'x'\npersona = 'admin'\n\
                    [[step]]\nid = 'make'\ntext = 'x'\npersona = 'dev'\n\
                    [[field]]\nid = 'tenant'\nlabel = 'T'\npersona = 'admin'\n\
                    [[field]]\nid = 'key'\nlabel = 'K'\nsecret = true\npersona = 'dev'\n";
        parse("acme.toml", text).unwrap()
    }

    fn given(fields: &[&str]) -> Given {
        let mut given = Given::default();
        given.answers.fields.extend(fields.iter().map(|id| ((*id).to_owned(), Secret::from("value"))));
        given
    }

    #[test]
    fn a_person_walks_the_own_steps_and_those_of_everybody() {
        let steps = |persona: &str| part(&provider(), persona).step.into_iter().map(|step| step.id).collect::<Vec<_>>();
        assert_eq!(steps("admin"), ["all", "allow"]);
        assert_eq!(steps("dev"), ["all", "make"]);
    }

    #[test]
    fn only_the_own_fields_are_required_and_those_of_others_are_kept() {
        let name: CredentialName = "acme".parse().unwrap();
        let dev = part(&provider(), "dev");
        let alone = collect(&dev, &name, &given(&["key"])).unwrap().credential;
        assert_eq!(alone.fields.keys().collect::<Vec<_>>(), ["key"]);
        let both = collect(&dev, &name, &given(&["key", "tenant"])).unwrap().credential;
        assert_eq!(both.fields.keys().collect::<Vec<_>>(), ["key", "tenant"]);
        let missing = collect(&dev, &name, &given(&["tenant"])).unwrap_err();
        assert_eq!(missing.misfits.iter().map(|misfit| misfit.place.as_str()).collect::<Vec<_>>(), ["key"]);
        assert!(collect(&provider(), &name, &given(&["key"])).is_err(), "the whole set-up needs both");
    }
}
