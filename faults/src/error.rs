use std::error::Error;

/// A result of the harness itself. An error of this kind is no failure of Carrot.
pub type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

/// Returns the texts of an error and of all its sources.
pub(crate) fn with_sources(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text = format!("{text}: {source}");
        next = source.source();
    }
    text
}

/// Returns the name of an error's variant.
pub(crate) fn variant_name(error: &carrot::Error) -> String {
    format!("{error:?}").chars().take_while(|character| character.is_alphanumeric()).collect()
}
