//! The admin token: made at first start, kept in a file that only its owner can read, and
//! compared without telling how much of a guess was right.

use std::fmt;
use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// Its file's name in the store's folder.
const FILE: &str = "api-token";

/// 128 bits, as hex digits.
const DIGITS: usize = 32;

/// The token that makes an admin. Holds a digest only, so there is nothing to leak.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    digest: [u8; 32],
    path: PathBuf,
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    #[error("cannot use the token file `{path}`: {source}", path = .path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("`{path}` holds no token ({DIGITS} hex digits); delete the file to have one made", path = .path.display())]
    NotAToken { path: PathBuf },
}

impl Token {
    /// The token of this store, made now if there is none.
    pub fn in_store(folder: &Path) -> Result<Token, TokenError> {
        let path = folder.join(FILE);
        let wrong = |source| TokenError::File { path: path.clone(), source };
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => make(&path).map_err(wrong)?,
            Err(error) => return Err(wrong(error)),
        };
        close_to_others(&path).map_err(wrong)?;
        let token = text.trim();
        if token.len() != DIGITS || !token.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(TokenError::NotAToken { path });
        }
        Ok(Token { digest: digest(token), path })
    }

    /// Where people find it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether this is the token.
    pub fn is(&self, given: &str) -> bool {
        digest(given) == self.digest
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({})", self.path.display())
    }
}

/// Writes a fresh token beside its place and then moves it there, so that a crash leaves
/// no half of one.
fn make(path: &Path) -> io::Result<String> {
    let token = format!("{:0DIGITS$x}", rand::random::<u128>());
    let fresh = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    writeln!(file, "{token}")?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    Ok(token)
}

fn close_to_others(path: &Path) -> io::Result<()> {
    let open = fs::metadata(path)?.permissions().mode() & 0o077 != 0;
    if open {
        tracing::warn!("others could read the token in `{}`; its mode is 0600 now", path.display());
        fs::set_permissions(path, Permissions::from_mode(0o600))?;
    }
    Ok(())
}

/// Whether two secret texts are the same. Digests are compared: how long that takes says
/// nothing about the texts themselves.
pub fn same_text(one: &str, other: &str) -> bool {
    digest(one) == digest(other)
}

fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_made_once_and_only_its_owner_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let token = Token::in_store(folder.path()).unwrap();
        let text = fs::read_to_string(token.path()).unwrap();
        assert_eq!(text.trim().len(), DIGITS);
        assert_eq!(fs::metadata(token.path()).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left behind");
        assert!(token.is(text.trim()));
        assert!(!token.is(""));
        assert!(!token.is(&text.trim()[1..]));
        assert_eq!(Token::in_store(folder.path()).unwrap(), token);
        let other = tempfile::tempdir().unwrap();
        assert!(!Token::in_store(other.path()).unwrap().is(text.trim()));
    }

    #[test]
    fn a_token_others_can_read_is_closed() {
        let folder = tempfile::tempdir().unwrap();
        let path = Token::in_store(folder.path()).unwrap().path().to_owned();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        Token::in_store(folder.path()).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn something_else_in_its_place_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        for wrong in ["", "short", "gggggggggggggggggggggggggggggggg"] {
            fs::write(folder.path().join(FILE), wrong).unwrap();
            let error = Token::in_store(folder.path()).unwrap_err().to_string();
            assert!(error.contains("holds no token"), "{error}");
        }
        let missing = Token::in_store(&folder.path().join("missing")).unwrap_err().to_string();
        assert!(missing.contains("cannot use the token file"), "{missing}");
    }

    #[test]
    fn a_token_never_prints() {
        let folder = tempfile::tempdir().unwrap();
        let token = Token::in_store(folder.path()).unwrap();
        let text = fs::read_to_string(token.path()).unwrap();
        assert!(!format!("{token:?}").contains(text.trim()));
    }
}
