//! Users, and which of them a subscription belongs to.

use super::{Names, Notes, Pen, World, Written, in_order, secrets, unknown_name};
use crate::config::file;
use crate::config::problem::Flaw;
use crate::config::{Creator, Role, User};

/// Track gives ids from 1, so 0 says that nobody was named.
const NOBODY: Creator = Creator { user_id: 0, role: Role::Admin };

/// In the order of the files. A user that is not quite right counts all the same, so that
/// what refers to it is not wrong as well.
pub(super) fn users(files: &[Written], world: &World, notes: &mut Notes) -> Vec<User> {
    let mut users: Vec<User> = Vec::new();
    for written in files.iter().filter(|written| written.sound) {
        for (name, table) in in_order(&written.file.user) {
            let table_path = vec!["user".to_owned(), name.value.clone()];
            let pen = &mut Pen { written, notes: &mut *notes, table: table_path, world };
            let user = user(pen, &name.value, table);
            differs(pen, table, &user, &users);
            users.push(user);
        }
    }
    users
}

/// The user that a subscription names, or the only admin.
pub(super) fn creator(
    pen: &mut Pen<'_>,
    named: &file::At<String>,
    table: &file::Subscription,
    users: &[User],
    names: &Names,
) -> Creator {
    let found = match table.user.get() {
        Some(name) => {
            let user = users.iter().find(|user| user.name == name.value);
            if user.is_none() && names.complete {
                pen.flaw(unknown_name("user", name, &names.users));
            }
            user
        }
        None => {
            let admins: Vec<&User> = users.iter().filter(|user| user.role == Role::Admin).collect();
            if admins.len() != 1 && !users.is_empty() && names.complete {
                pen.flaw(nobodys(named, &admins));
            }
            admins.first().copied()
        }
    };
    found.map_or(NOBODY, |user| Creator { user_id: user.id, role: user.role })
}

fn user(pen: &mut Pen<'_>, name: &str, table: &file::User) -> User {
    let api_token = secrets::secret(pen, "api_token", &table.api_token);
    if let (Some(token), Some(at)) = (&api_token, table.api_token.get())
        && !token.reveal().bytes().all(|byte| byte.is_ascii_graphic() && byte != b':')
    {
        let message = format!("{} cannot be sent as a user name", pen.key("api_token"));
        pen.flaw(Flaw::new(at.span.clone(), message).hint("use visible ASCII characters without `:`"));
    }
    User {
        name: name.to_owned(),
        id: table.id.get().map_or(0, |id| id.value),
        role: table.role.get().map_or(Role::Member, |role| role.value),
        api_token,
    }
}

/// Ids and tokens tell users apart.
fn differs(pen: &mut Pen<'_>, table: &file::User, user: &User, others: &[User]) {
    if let Some(id) = table.id.get()
        && let Some(other) = others.iter().find(|other| other.id == user.id)
    {
        let message = format!("user `{}` has the id {} already", other.name, user.id);
        pen.flaw(Flaw::new(id.span.clone(), message));
    }
    if let (Some(token), Some(at)) = (&user.api_token, table.api_token.get())
        && let Some(other) = others.iter().find(|other| other.api_token.as_ref() == Some(token))
    {
        let message = format!("user `{}` has the same `api_token`", other.name);
        pen.flaw(Flaw::new(at.span.clone(), message).hint("give each user a token of its own"));
    }
}

fn nobodys(named: &file::At<String>, admins: &[&User]) -> Flaw {
    let message = format!("subscription `{}` belongs to nobody", named.value);
    let hint = match admins.len() {
        0 => "no user is an admin; name its creator as `user`",
        _ => "there are several admins; name its creator as `user`",
    };
    Flaw::new(named.span.clone(), message).hint(hint)
}
