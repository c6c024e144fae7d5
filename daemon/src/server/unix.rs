//! The Unix socket: in a folder that nobody else can tamper with, for the same user and
//! root alone. Whoever comes through here is an admin, so it is checked twice: by the
//! socket's mode and by the peer's credentials.

use std::fs::{self, DirBuilder, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream as BlockingStream;
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};
use tracing::warn;

/// An open socket. Its file goes with it.
#[derive(Debug)]
pub(super) struct UnixSocket {
    listener: UnixListener,
    path: PathBuf,
    /// Device and inode of the file we made: another daemon's in its place is left alone.
    made: (u64, u64),
}

/// Why there is no Unix socket.
#[derive(Debug, thiserror::Error)]
pub enum UnixError {
    #[error("cannot listen on `{path}`: {source}; set another `[listen] unix`, or \"off\"", path = .path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("another program listens on `{path}`, most likely another trackrelay; stop it, or set another `[listen] unix`", path = .path.display())]
    Taken { path: PathBuf },
    #[error("`{path}` is in the way: it is not a socket; move it, or set another `[listen] unix`", path = .path.display())]
    InTheWay { path: PathBuf },
    #[error("the folder `{path}` is not safe for a socket: {why}; remove it, or set another `[listen] unix`", path = .path.display())]
    Folder { path: PathBuf, why: &'static str },
}

impl UnixSocket {
    pub(super) fn bind(path: &Path) -> Result<UnixSocket, UnixError> {
        let wrong = |source| UnixError::Io { path: path.to_owned(), source };
        prepare_folder(path)?;
        make_way(path)?;
        let listener = UnixListener::bind(path).map_err(wrong)?;
        fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(wrong)?;
        let made = identity(&fs::symlink_metadata(path).map_err(wrong)?);
        Ok(UnixSocket { listener, path: path.to_owned(), made })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The next connection of somebody who may come in.
    pub(super) async fn accept(&self) -> io::Result<UnixStream> {
        loop {
            let (stream, _) = self.listener.accept().await?;
            let peer = stream.peer_cred()?.uid();
            if peer == our_user() || peer == 0 {
                return Ok(stream);
            }
            warn!(peer.user = peer, "another user was turned away at `{}`", self.path.display());
        }
    }
}

impl Drop for UnixSocket {
    fn drop(&mut self) {
        let ours = fs::symlink_metadata(&self.path).is_ok_and(|found| identity(&found) == self.made);
        if ours && let Err(error) = fs::remove_file(&self.path) {
            warn!("cannot remove the socket `{}`: {error}", self.path.display());
        }
    }
}

/// Makes the socket's folder for us alone, or makes sure that nobody else can put another
/// socket in the place of ours.
fn prepare_folder(socket: &Path) -> Result<(), UnixError> {
    let folder = match socket.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let wrong = |source| UnixError::Io { path: socket.to_owned(), source };
    let unsafe_folder = |why| Err(UnixError::Folder { path: folder.to_owned(), why });
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(wrong)?;
    let mut found = fs::symlink_metadata(folder).map_err(wrong)?;
    if found.is_symlink() {
        if found.uid() != 0 {
            return unsafe_folder("it is a symbolic link");
        }
        found = fs::metadata(folder).map_err(wrong)?;
    }
    let ours = found.uid() == our_user();
    if !ours && found.uid() != 0 {
        return unsafe_folder("it belongs to another user");
    }
    if ours && is_named_after_us(folder) {
        return fs::set_permissions(folder, Permissions::from_mode(0o700)).map_err(wrong);
    }
    let mode = found.permissions().mode();
    if mode & 0o022 != 0 && mode & 0o1000 == 0 {
        return unsafe_folder("others may write to it");
    }
    Ok(())
}

/// `…/trackrelay` and `/tmp/trackrelay-<uid>` are made for us and hold nothing else.
fn is_named_after_us(folder: &Path) -> bool {
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name == "trackrelay" || name.starts_with("trackrelay-")
}

/// Removes a socket that a dead daemon left behind, and only that.
fn make_way(path: &Path) -> Result<(), UnixError> {
    let wrong = |source| UnixError::Io { path: path.to_owned(), source };
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(wrong(error)),
    };
    if !found.file_type().is_socket() {
        return Err(UnixError::InTheWay { path: path.to_owned() });
    }
    match BlockingStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(wrong)
        }
        // Full, forbidden or connected: somebody is there.
        _ => Err(UnixError::Taken { path: path.to_owned() }),
    }
}

fn identity(file: &Metadata) -> (u64, u64) {
    (file.dev(), file.ino())
}

fn our_user() -> u32 {
    rustix::process::geteuid().as_raw()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
    }

    fn said(path: &Path) -> String {
        UnixSocket::bind(path).unwrap_err().to_string()
    }

    #[tokio::test]
    async fn folder_and_socket_are_ours_alone_and_go_away() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("deep/trackrelay/trackrelay.sock");
        let socket = UnixSocket::bind(&path).unwrap();
        assert_eq!((mode(path.parent().unwrap()), mode(&path)), (0o700, 0o600));
        drop(socket);
        assert!(!path.exists());
        fs::set_permissions(path.parent().unwrap(), Permissions::from_mode(0o777)).unwrap();
        let _socket = UnixSocket::bind(&path).unwrap();
        assert_eq!(mode(path.parent().unwrap()), 0o700, "our own folder is closed again");
    }

    #[tokio::test]
    async fn a_socket_left_behind_is_replaced_and_a_live_one_is_not() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("s");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let live = UnixSocket::bind(&path).unwrap();
        assert!(said(&path).contains("another program listens on"));
        assert!(path.exists());
        drop(live);
    }

    #[tokio::test]
    async fn what_is_not_a_socket_stays() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("s");
        fs::write(&path, "precious").unwrap();
        assert!(said(&path).contains("is in the way"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }

    #[tokio::test]
    async fn unsafe_folders_are_refused() {
        let temp = tempfile::tempdir().unwrap();
        let open = temp.path().join("open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, Permissions::from_mode(0o777)).unwrap();
        assert!(said(&open.join("s")).contains("others may write to it"));
        fs::set_permissions(&open, Permissions::from_mode(0o1777)).unwrap();
        assert!(UnixSocket::bind(&open.join("s")).is_ok(), "as `/tmp` is");
    }

    #[tokio::test]
    async fn another_users_folder_or_link_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        let foreign = temp.path().join("trackrelay-0");
        fs::create_dir(&foreign).unwrap();
        let link = temp.path().join("trackrelay-1");
        symlink(temp.path(), &link).unwrap();
        let stranger = |path: &Path| std::os::unix::fs::lchown(path, Some(65_534), None);
        if stranger(&foreign).and(stranger(&link)).is_err() {
            return; // Only root can make folders of other users.
        }
        assert!(said(&foreign.join("s")).contains("belongs to another user"));
        assert!(said(&link.join("s")).contains("symbolic link"));
    }

    #[tokio::test]
    async fn anothers_socket_in_our_place_is_not_removed() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("s");
        let socket = UnixSocket::bind(&path).unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(&path, "new").unwrap();
        drop(socket);
        assert!(path.exists());
    }
}
