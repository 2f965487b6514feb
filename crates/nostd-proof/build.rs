//! Links the program with nothing: no start files, no C library, no interpreter, at a fixed
//! address, so that there is no relocation for anyone to apply.
//!
//! Being an ordinary program with std, it is also what `run.sh` tries its search for std on.

fn main() {
    for argument in [
        "-nostartfiles",
        "-nostdlib",
        "-static",
        "-no-pie",
        "-Wl,--build-id=none",
        "-Wl,-z,noexecstack",
    ] {
        println!("cargo:rustc-link-arg-bins={argument}");
    }
    println!("cargo:rerun-if-changed=build.rs");
}
