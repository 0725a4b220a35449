//! `carrot completions` and `carrot man`.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::exit::Result;

/// Prints the completions for a shell.
#[derive(Debug, Args)]
pub(crate) struct CompletionsArguments {
    /// Shell that reads the completions
    shell: Shell,
}

impl CompletionsArguments {
    pub(crate) fn run<C: CommandFactory>(&self) -> Result<()> {
        clap_complete::generate(self.shell, &mut C::command(), "carrot", &mut std::io::stdout());
        Ok(())
    }
}

/// Prints the manual page: the command, and each of its subcommands.
pub(crate) fn print_manual<C: CommandFactory>() -> Result<()> {
    let mut command = C::command();
    command.build();
    let mut output = std::io::stdout().lock();
    clap_mangen::Man::new(command.clone()).render(&mut output)?;
    for part in command.get_subcommands().filter(|part| part.get_name() != "help") {
        clap_mangen::Man::new(part.clone()).render(&mut output)?;
    }
    Ok(())
}
