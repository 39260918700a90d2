//! Code that only a start or a reload runs, given back: what counts as the process's memory is what it works with.
//!
//! Reading a configuration (YAML, its schema, patterns, prices) touches some 9 MB of the program's own code, which stay mapped
//! into the process though nothing runs them again. The one idea: pages of code are the file's, so unmapping them loses nothing;
//! those that are run next are mapped again from the page cache, 64 KiB at a time, some microseconds each.

/// Give back all code; what runs comes back at once. Where it cannot be done nothing happens.
pub(super) fn give_back_code() {
    let Ok(maps) = std::fs::read_to_string("/proc/self/maps") else {
        return;
    };
    if let Some((start, length)) = code(&maps, give_back_code as *const () as usize) {
        #[allow(
            unsafe_code,
            reason = "the mapping is private, of a file and never written to (`r-xp`, looked up on the line above), so that its \
                      pages hold what the file holds whenever they are mapped again; a third of what an idle process takes"
        )]
        // SAFETY: see the reason; the kernel refuses what it cannot do, which changes nothing.
        let _ = unsafe { libc::madvise(start as *mut libc::c_void, length, libc::MADV_DONTNEED) };
    }
}

/// Start and length of the mapping of a file's code that holds an address.
fn code(maps: &str, address: usize) -> Option<(usize, usize)> {
    maps.lines().find_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let (start, end) = fields.next()?.split_once('-')?;
        let (start, end) = (
            usize::from_str_radix(start, 16).ok()?,
            usize::from_str_radix(end, 16).ok()?,
        );
        let (rights, inode) = (fields.next()?, fields.nth(2)?);
        let ours = (start..end).contains(&address) && rights == "r-xp" && inode != "0";
        ours.then_some((start, end - start))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_code_of_a_file_is_found() {
        let maps = "1000-2000 r--p 00000000 fe:00 12 /bin/x\n2000-5000 r-xp 00001000 fe:00 12 /bin/x\n\
                    5000-6000 rw-p 00004000 fe:00 12 /bin/x\n7000-8000 r-xp 00000000 00:00 0 [vdso]\nnonsense\n";
        assert_eq!(code(maps, 0x2abc), Some((0x2000, 0x3000)));
        for other in [0x1abc, 0x5abc, 0x7abc, 0x9abc] {
            assert_eq!(code(maps, other), None, "{other:x}");
        }
    }

    #[test]
    fn the_program_goes_on() {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        assert!(code(&maps, give_back_code as *const () as usize).is_some());
        give_back_code();
        assert_eq!(format!("{}", 6 * 7), "42");
    }
}
