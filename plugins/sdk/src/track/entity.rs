//! Track's entities, as a `payload` holds them. Track's reference does not say which keys may
//! be absent, and nobody has seen what a deletion's payload holds; hence only the id is sure.

use serde::Deserialize;

/// A time entry. While it runs, `stop` is none and `duration` negative.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct TimeEntry {
    pub id: i64,
    /// When it was last changed.
    pub at: Option<String>,
    pub billable: Option<bool>,
    pub description: Option<String>,
    /// Seconds; negative while it runs.
    pub duration: Option<i64>,
    pub duronly: Option<bool>,
    pub project_id: Option<i64>,
    pub server_deleted_at: Option<String>,
    pub start: Option<String>,
    /// None while it runs.
    pub stop: Option<String>,
    /// Track sends null or `[]` when there are none.
    pub tag_ids: Option<Vec<i64>>,
    /// Names; null or `[]` when there are none.
    pub tags: Option<Vec<String>>,
    pub task_id: Option<i64>,
    /// Whose it is.
    pub user_id: Option<i64>,
    pub workspace_id: Option<i64>,
    /// An older name of `project_id`, as are `tid`, `uid` and `wid` of others.
    pub pid: Option<i64>,
    pub tid: Option<i64>,
    pub uid: Option<i64>,
    pub wid: Option<i64>,
}

/// A project.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Project {
    pub id: i64,
    pub active: Option<bool>,
    pub actual_hours: Option<i64>,
    pub actual_seconds: Option<i64>,
    pub at: Option<String>,
    pub auto_estimates: Option<bool>,
    pub billable: Option<bool>,
    pub can_track_time: Option<bool>,
    pub client_id: Option<i64>,
    pub client_name: Option<String>,
    /// Like `#0b83d9`.
    pub color: Option<String>,
    pub created_at: Option<String>,
    pub currency: Option<String>,
    /// Like `2026-03-01`, as is `start_date`.
    pub end_date: Option<String>,
    pub estimated_hours: Option<i64>,
    pub estimated_seconds: Option<i64>,
    pub external_reference: Option<String>,
    pub fixed_fee: Option<f64>,
    pub is_private: Option<bool>,
    pub is_shared: Option<bool>,
    pub name: Option<String>,
    pub pinned: Option<bool>,
    pub rate: Option<f64>,
    pub rate_last_updated: Option<String>,
    pub recurring: Option<bool>,
    pub server_deleted_at: Option<String>,
    pub start_date: Option<String>,
    /// `upcoming`, `active`, `ended`, `archived` or `deleted`.
    pub status: Option<String>,
    pub tasks_count: Option<i64>,
    pub template: Option<bool>,
    pub template_id: Option<i64>,
    pub workspace_id: Option<i64>,
    /// An older name of `client_id`.
    pub cid: Option<i64>,
    pub wid: Option<i64>,
}

/// A client. Its workspace is in `wid` alone.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Client {
    pub id: i64,
    pub archived: Option<bool>,
    pub at: Option<String>,
    pub creator_id: Option<i64>,
    pub external_reference: Option<String>,
    pub name: Option<String>,
    pub notes: Option<String>,
    pub wid: Option<i64>,
}

/// A tag.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Tag {
    pub id: i64,
    pub at: Option<String>,
    pub creator_id: Option<i64>,
    pub deleted_at: Option<String>,
    pub name: Option<String>,
    pub workspace_id: Option<i64>,
}

/// A task of a project.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Task {
    pub id: i64,
    /// False once it is done.
    pub active: Option<bool>,
    pub at: Option<String>,
    pub avatar_url: Option<String>,
    pub client_id: Option<i64>,
    pub client_name: Option<String>,
    pub estimated_seconds: Option<i64>,
    pub external_reference: Option<String>,
    pub name: Option<String>,
    pub project_billable: Option<bool>,
    pub project_color: Option<String>,
    pub project_id: Option<i64>,
    pub project_is_private: Option<bool>,
    pub project_name: Option<String>,
    pub rate: Option<f64>,
    pub rate_last_updated: Option<String>,
    pub recurring: Option<bool>,
    pub toggl_accounts_id: Option<String>,
    /// Milliseconds, whatever its name says: so says the reference of Track's API.
    pub tracked_seconds: Option<i64>,
    /// Who it is assigned to.
    pub user_id: Option<i64>,
    pub user_name: Option<String>,
    pub workspace_id: Option<i64>,
}

/// Somebody's part in a project.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct ProjectUser {
    pub id: i64,
    pub at: Option<String>,
    /// Through which group, if through one.
    pub group_id: Option<i64>,
    pub labor_cost: Option<f64>,
    pub labor_cost_last_updated: Option<String>,
    pub manager: Option<bool>,
    pub project_id: Option<i64>,
    pub rate: Option<f64>,
    pub rate_last_updated: Option<String>,
    pub user_id: Option<i64>,
    pub workspace_id: Option<i64>,
    /// An older name of `group_id`.
    pub gid: Option<i64>,
}

/// A group's part in a project.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct ProjectGroup {
    pub id: i64,
    pub group_id: Option<i64>,
    /// The project.
    pub pid: Option<i64>,
    /// The workspace.
    pub wid: Option<i64>,
}

/// A workspace, without what in it is a credential (`api_token`, `ical_url`).
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Workspace {
    pub id: i64,
    pub admin: Option<bool>,
    pub at: Option<String>,
    pub business_ws: Option<bool>,
    pub default_currency: Option<String>,
    pub default_hourly_rate: Option<f64>,
    pub disable_approvals: Option<bool>,
    pub disable_expenses: Option<bool>,
    pub disable_timesheet_view: Option<bool>,
    pub hide_start_end_times: Option<bool>,
    pub ical_enabled: Option<bool>,
    pub last_modified: Option<String>,
    pub limit_public_project_data: Option<bool>,
    pub logo_url: Option<String>,
    pub max_data_retention_days: Option<i64>,
    pub name: Option<String>,
    pub only_admins_may_create_projects: Option<bool>,
    pub only_admins_may_create_tags: Option<bool>,
    pub only_admins_see_billable_rates: Option<bool>,
    pub only_admins_see_team_dashboard: Option<bool>,
    pub organization_id: Option<i64>,
    pub premium: Option<bool>,
    pub projects_billable_by_default: Option<bool>,
    pub projects_enforce_billable: Option<bool>,
    pub projects_private_by_default: Option<bool>,
    pub rate_last_updated: Option<String>,
    pub reports_collapse: Option<bool>,
    pub role: Option<String>,
    /// -1 down, 0 to the nearest, 1 up.
    pub rounding: Option<i64>,
    pub rounding_minutes: Option<i64>,
    pub server_deleted_at: Option<String>,
    pub suspended_at: Option<String>,
    /// What a time entry must have.
    pub te_constraints: Option<TimeEntryConstraints>,
    pub working_hours_in_minutes: Option<i64>,
}

/// Somebody's part in a workspace.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct WorkspaceUser {
    /// The membership; the person is `user_id`.
    pub id: i64,
    /// Whether the invitation was accepted.
    pub active: Option<bool>,
    pub admin: Option<bool>,
    pub at: Option<String>,
    pub avatar_file_name: Option<String>,
    pub email: Option<String>,
    pub group_ids: Option<Vec<i64>>,
    /// Whether it is switched off.
    pub inactive: Option<bool>,
    pub is_direct: Option<bool>,
    pub labor_cost: Option<f64>,
    pub labor_cost_last_updated: Option<String>,
    pub name: Option<String>,
    pub organization_admin: Option<bool>,
    pub rate: Option<f64>,
    pub rate_last_updated: Option<String>,
    pub role: Option<String>,
    pub role_id: Option<i64>,
    pub timezone: Option<String>,
    /// `2fa_enabled`.
    #[serde(rename = "2fa_enabled")]
    pub two_factor_enabled: Option<bool>,
    pub user_id: Option<i64>,
    pub view_edit_billable_rates: Option<bool>,
    pub view_edit_labor_costs: Option<bool>,
    pub workspace_admin: Option<bool>,
    pub working_hours_in_minutes: Option<i64>,
    pub workspace_id: Option<i64>,
    /// An older name of `user_id`; `wid` one of `workspace_id`.
    pub uid: Option<i64>,
    pub wid: Option<i64>,
}

/// What a time entry of a workspace must have.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct TimeEntryConstraints {
    pub description_present: Option<bool>,
    pub project_present: Option<bool>,
    pub tag_present: Option<bool>,
    pub task_present: Option<bool>,
    pub time_entry_constraints_enabled: Option<bool>,
}
