//! Arguments in, exit code out.

fn main() -> std::process::ExitCode {
    keyward::cli::main()
}
