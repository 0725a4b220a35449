//! `carrot completions` and `carrot man`.

use std::io::Write;

use clap::{Args, Command, CommandFactory};
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
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut C::command(), "carrot", &mut script);
        print(&script)
    }
}

/// Prints the manual page: the command, and each of its subcommands at any depth.
pub(crate) fn print_manual<C: CommandFactory>() -> Result<()> {
    let mut command = C::command();
    command.build();
    let mut pages = Vec::new();
    add_pages(&command, &mut pages)?;
    print(&pages)
}

/// Adds the page of a command, and those of its subcommands.
fn add_pages(command: &Command, pages: &mut Vec<u8>) -> Result<()> {
    clap_mangen::Man::new(command.clone()).render(pages)?;
    let parts = command.get_subcommands().filter(|part| part.get_name() != "help");
    parts.into_iter().try_for_each(|part| add_pages(part, pages))
}

fn print(octets: &[u8]) -> Result<()> {
    let mut output = std::io::stdout().lock();
    output.write_all(octets)?;
    Ok(output.flush()?)
}
