//! The store's contract: one list of tests that holds for every backend, and what is SQLite's own beside it.
//!
//! Another backend is another constructor in `world.rs` and another word in the `contract!` list.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests")]

mod about;
mod accounts;
mod admins;
mod backups;
mod cache;
mod config;
mod copies;
mod damage;
mod database;
mod delete;
mod deliveries;
mod due;
mod events;
mod fixtures;
mod graces;
mod holds;
mod interference;
mod keyrings;
mod keys;
mod labels;
mod lanes;
mod lease;
mod life;
mod limits;
mod list;
mod looks;
mod managed;
mod material;
mod nodes;
mod passes;
mod pruning;
mod readers;
mod rollbacks;
mod rotators;
mod secrets;
mod sessions;
mod settings;
mod sqlite;
mod subscriptions;
mod tokens;
mod trial;
mod world;

/// Runs every function of a list as a test of its own over a fresh world of each kind.
macro_rules! contract {
    ([] $list:tt) => {};
    ([$backend:ident $($more:ident)*] $list:tt) => {
        contract! { @over $backend $list }
        contract! { [$($more)*] $list }
    };
    (@over $backend:ident { $($module:ident::{$($test:ident),+ $(,)?}),+ $(,)? }) => {
        mod $backend {
            $(mod $module { $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    if let Some(world) = crate::world::$backend().await {
                        crate::$module::$test(world).await;
                    }
                }
            )+ })+
        }
    };
}

contract! { [over_sqlite over_postgres] {
    about::{
        a_policy_is_the_text_that_was_put_last,
        a_policy_waits_for_restore_and_goes_with_its_secret,
        replicas_are_shown_until_they_are_removed,
        a_secret_with_replicas_is_not_deleted,
        a_version_shows_the_key_it_was_written_under,
        an_external_secret_keeps_what_is_not_named,
    },
    holds::{
        a_store_that_was_brought_back_starts_nothing_and_says_why,
        a_second_failure_in_the_middle_has_every_account_looked_at_again,
        it_ends_by_itself_when_every_account_was_seen_and_plans_windows_that_are_to_come,
        what_is_refused_stays_held_when_an_operator_leaves_and_is_let_go_when_it_logs_in,
        a_reconcile_goes_on_while_everything_else_is_held_and_lets_go,
        an_open_rotation_goes_on_with_the_same_value_once_that_is_what_logs_in,
        an_open_rotation_whose_target_has_an_older_value_is_held_until_a_person_says,
        a_look_that_finds_out_nothing_is_made_again_soon,
        what_cannot_be_looked_at_is_let_go_by_a_test_or_by_a_person,
        a_grace_does_not_end_while_the_secret_is_held,
    },
    keyrings::{
        a_rotation_goes_on_when_the_key_is_another_one_in_its_middle,
        everything_is_sealed_again_batch_by_batch_and_goes_on_after_a_kill,
        a_key_seals_nothing_before_every_node_has_it,
        a_file_that_is_behind_takes_no_key_back,
        a_node_without_the_new_key_is_refused_once_that_seals,
    },
    secrets::{
        a_secret_is_read_back_by_name_full_arn_and_partial_arn,
        a_partial_arn_that_ends_like_a_suffix_is_not_completed,
        a_name_that_looks_like_an_arn_tail_is_a_name,
        a_secret_without_a_value_has_no_versions,
        descriptions_have_what_aws_shows_and_nothing_else,
        a_new_secret_of_an_old_name_gets_a_new_arn,
        values_are_read_by_version_by_label_and_by_both,
        reading_moves_the_day_of_access_and_nothing_else,
        tags_keep_their_order_and_an_emptied_list_stays_visible,
        a_secret_has_fifty_tags_at_most_whoever_comes_at_once,
        updating_nothing_changes_nothing,
    },
    tokens::{
        creating_twice_follows_the_token_matrix,
        putting_follows_the_token_matrix,
        updating_follows_the_token_matrix,
        equal_bytes_of_another_kind_are_another_value,
        a_repeated_put_attaches_labels_it_names,
    },
    labels::{
        a_plain_write_takes_awscurrent_and_drops_awspending,
        listed_labels_move_and_others_stay,
        moving_awscurrent_moves_awsprevious,
        label_errors_name_what_aws_names,
        more_than_twenty_labels_are_refused,
    },
    life::{
        s5_4_a_whole_rotation_moves_the_labels_and_resolves_its_candidates,
        the_placeholder_is_seen_by_describe_and_by_nothing_else,
        a_rejected_candidate_is_followed_by_another_and_kept,
        a_crash_in_any_step_is_resumed_by_the_next_lease,
        a_rotation_that_is_given_up_restores_awscurrent_as_a_candidate_first,
        what_the_target_holds_is_known_through_writes_and_pruning,
        history_tells_the_steps_and_how_they_ended,
        history_keeps_the_newest_thousand_lines_of_a_secret,
        a_binary_value_written_by_a_callback_stays_binary,
        a_callback_may_move_awscurrent_itself_in_finish,
    },
    interference::{
        a_plain_put_gives_the_open_rotation_up_and_keeps_its_candidate,
        a_put_before_any_candidate_closes_the_rotation_at_once,
        taking_awspending_away_gives_the_rotation_up,
        moving_awscurrent_gives_the_rotation_up,
        moving_awscurrent_to_an_untested_candidate_gives_the_rotation_up,
        cancelling_gives_the_rotation_up_and_blocks_like_aws,
        a_driver_that_reports_after_interference_is_refused,
        a_custom_label_is_no_interference,
        a_label_cannot_move_to_a_placeholder,
    },
    lease::{
        a_stale_fence_changes_nothing,
        an_expired_lease_is_fenced_even_before_another_claims,
        a_renewed_lease_lasts_its_full_length_again,
        a_paused_rotation_accepts_only_how_a_step_ended,
        a_deleted_secret_fences_its_driver,
        a_plan_called_off_after_the_claim_starts_nothing,
        claims_by_many_tasks_are_distinct,
        a_released_lease_can_be_claimed_at_once,
        f20_a_lease_that_is_taken_out_of_its_row_is_a_lost_one,
    },
    due::{
        a_scheduled_rotation_is_claimed_at_its_planned_moment_and_not_before,
        what_is_claimed_is_due_to_the_nanosecond,
        next_due_is_the_earliest_moment_and_counts_leases,
        a_manual_write_starts_the_interval_again,
        an_edit_of_the_schedule_makes_nothing_due_at_once,
        a_missed_window_runs_late_and_spread,
        a_spread_moment_survives_another_restart,
        a_rotation_that_closed_does_not_start_again_in_its_window,
        parked_paused_disabled_and_deleted_ones_are_never_due,
        counts_tell_what_is_scheduled_due_overdue_parked_and_open,
        the_scheduler_is_told_when_something_becomes_due,
    },
    managed::{
        what_is_managed_elsewhere_is_served_and_never_changed_from_here,
        what_is_rotated_cannot_be_said_to_be_managed_elsewhere,
    },
    fixtures::{
        a_thousand_adopted_secrets_are_not_rotated_by_a_restart,
    },
    limits::{
        a_host_has_so_many_rotations_at_once_and_the_others_go_on,
        however_much_comes_due_together_is_claimed_together_each_at_its_host,
        what_waits_for_its_host_is_not_lost_by_a_change_of_it,
        a_lease_of_the_dead_takes_no_place_for_ever,
        a_host_that_is_not_reached_is_left_alone_but_for_a_probe_now_and_then,
        one_success_among_failures_keeps_a_host_open,
        the_budget_counts_what_begins_by_schedule_and_nothing_else,
        a_pause_of_everything_lets_what_is_open_end_and_starts_nothing,
        a_plan_that_was_claimed_before_the_pause_starts_nothing_after_it,
        nothing_starts_by_schedule_in_a_blackout_and_what_was_due_runs_after_it,
        a_secret_has_blackouts_of_its_own_by_tag_or_setting,
        a_rotation_that_would_run_into_a_blackout_does_not_start,
        limits_and_what_is_paused_are_of_the_store,
        when_the_clock_is_set_what_waits_goes_on_waiting_as_long_as_it_would_have,
        the_clock_is_remembered_and_a_doubt_of_it_is_told_until_somebody_accepts_it,
        a_node_that_doubts_its_clock_resumes_and_starts_nothing,
    },
    config::{
        rotating_needs_a_rotator_a_value_and_a_schedule_that_parses,
        configuration_that_is_left_out_is_kept,
        the_same_token_again_is_the_same_request,
        a_hundred_parallel_rotates_open_exactly_one_rotation,
        a_left_over_awspending_refuses_even_new_rules,
        cancelling_keeps_rules_and_labels,
        resuming_goes_on_and_refuses_what_is_not_stopped,
        abandoning_needs_an_open_rotation,
        a_window_missed_in_a_pause_is_not_made_up_for,
    },
    trial::{
        a_window_that_passes_while_a_trial_is_open_is_made_up_for_late_and_said,
        a_secret_without_a_value_keeps_what_was_to_be_tested,
        a_trial_tests_a_copy_of_awscurrent_and_leaves_no_trace,
        a_failed_trial_keeps_the_configuration_and_says_why,
        a_trial_refuses_other_rotations_and_is_the_same_request_again,
        whatever_a_user_does_in_a_trial_ends_it,
        a_copy_that_somebody_labelled_is_theirs,
        a_value_put_under_a_trials_token_must_be_its_own,
        a_crash_in_a_trial_is_resumed_by_the_next_lease,
        a_paused_trial_waits_and_a_window_missed_meanwhile_is_not_made_up_for,
        a_trial_in_an_open_window_does_not_put_its_rotation_off,
        what_is_changed_during_a_trial_is_planned_at_once,
        a_trial_does_without_an_admin_that_is_being_rotated,
    },
    material::{
        going_forward_the_candidate_is_wanted_and_awscurrent_comes_first,
        giving_up_awscurrent_is_wanted_and_candidates_come_first,
        equal_values_cost_one_login,
        people_are_given_awscurrent_and_what_the_target_may_hold_each_value_once,
        the_admin_secret_is_found_or_its_absence_explained,
        an_admin_waits_for_whoever_uses_it_but_not_for_what_was_left_in_the_middle,
    },
    delete::{
        a_planned_deletion_refuses_everything_but_looking_and_restoring,
        restoring_brings_back_labels_and_schedule,
        a_forced_deletion_frees_the_name_at_once,
        an_unresolved_candidate_outlives_force_delete_and_purge,
        a_healthy_secret_goes_with_all_it_had,
        purging_removes_what_has_ended_and_nothing_else,
        an_open_rotation_goes_on_after_restore,
    },
    list::{
        pages_cover_everything_once_in_every_order,
        filters_and_deletion_narrow_the_list,
        a_cursor_serves_only_its_own_query,
        a_cursor_survives_a_restart,
        versions_are_paged_newest_first_without_the_placeholder,
    },
    pruning::{
        young_versions_are_never_pruned_and_then_the_quota_refuses,
        old_unlabelled_versions_give_way,
        without_aws_limits_rotations_never_meet_the_quota,
        an_unresolved_candidate_is_never_pruned,
    },
    cache::{
        an_acknowledged_write_is_what_the_next_read_returns,
        concurrent_readers_never_go_back_behind_an_acknowledged_write,
        a_write_whose_caller_went_away_is_not_hidden_by_the_cache,
        a_deleted_secret_is_not_served_from_memory,
    },
    keys::{
        an_access_key_is_found_as_it_was_made,
        access_keys_have_the_form_clients_expect,
        a_principal_has_two_keys_at_most,
        a_second_key_never_changes_what_the_first_may_do,
        a_principal_goes_with_its_last_key_and_its_name_is_free,
        a_key_is_disabled_enabled_and_deleted_at_once_and_for_the_next_process,
        the_last_enabled_administrators_key_stays,
        keys_are_listed_with_their_principals_and_without_secrets,
        lost_keys_are_replaced_the_disabled_one_first,
        a_disabled_key_is_disabled_also_when_its_caller_went_away,
    },
    sessions::{
        a_session_is_opened_by_its_token_alone,
        a_token_that_was_changed_or_is_anothers_opens_nothing,
        only_an_enabled_key_makes_sessions_and_for_no_longer_than_allowed,
    },
    admins::{
        a_secret_is_an_admin_secret_while_a_labelled_version_of_another_names_it,
        a_rotations_candidate_and_a_secret_marked_for_deletion_name_an_admin_too,
        what_an_earlier_binary_wrote_is_looked_at_when_the_store_opens_or_a_label_comes,
        a_writer_that_keeps_the_admin_may_name_no_other,
        a_mover_of_labels_that_keeps_the_admin_brings_no_other_back,
        a_list_for_a_scope_shows_what_is_in_it_and_no_admin_secret_that_is_not_named,
    },
    accounts::{
        two_secrets_of_one_account_are_not_both_rotated,
        a_secret_that_comes_back_from_a_rotator_of_its_own_is_alone_with_its_account,
        a_secret_that_was_rotated_before_goes_on_whatever_else_is_for_its_account,
        accounts_that_take_turns_are_both_the_secrets,
        what_an_earlier_binary_wrote_is_looked_at_too,
        the_secrets_that_name_an_admin_are_told,
    },
    settings::{
        a_tag_is_a_view_of_its_setting_whichever_was_written,
        how_a_tag_was_written_stays_while_it_says_the_same,
        settings_that_came_by_tag_wait_for_the_rotation_to_be_configured,
        a_new_secret_takes_its_settings_from_its_tags,
        a_tag_that_says_no_setting_is_refused_and_nothing_is_written,
        tags_of_settings_take_no_room_from_others,
        taking_a_tag_away_that_is_not_there_changes_nothing,
        a_tag_that_an_earlier_binary_took_for_any_other_shows_what_is_in_force,
        a_schedule_within_the_grace_is_refused_wherever_it_is_said,
        a_registered_rotator_takes_no_strategy,
        another_zone_by_tag_plans_anew_and_makes_nothing_due,
    },
    readers::{
        a_reader_is_told_with_the_version_it_read_last,
        readers_outlive_a_restart,
        whoever_reads_a_version_that_is_retired_is_named_to_its_rotator,
        a_reader_that_declares_its_cache_is_told_whether_it_has_read_or_not,
        readers_go_with_their_secret_and_a_read_that_comes_late_brings_nothing_back,
    },
    rotators::{
        a_rotator_is_read_back_as_it_was_registered,
        a_row_that_was_changed_behind_our_back_is_not_used,
        a_change_is_seen_at_once_and_never_undoes_anothers,
        both_signing_keys_are_live_for_the_overlap,
        what_has_no_signing_key_gets_none,
        a_rotator_that_serves_a_secret_stays,
        nothing_begins_with_a_rotator_that_is_unknown_or_disabled,
        a_disabled_rotator_has_no_room_and_a_window_it_missed_is_over,
        only_who_can_make_a_first_value_rotates_a_secret_without_one,
    },
    graces::{
        a_secret_that_is_deleted_in_its_grace_goes_whole,
        a_rotation_that_is_given_up_in_the_grace_leaves_the_grace_as_it_was,
        another_rotator_ends_nothing_that_it_did_not_make,
        a_rotator_that_was_disabled_over_a_window_starts_nothing_when_the_grace_ends,
        the_longest_lease_is_nobody_elses_from_its_first_moment,
    },
    lanes::{
        a_full_lane_keeps_nobody_else_from_being_claimed,
        a_full_lane_is_not_what_the_scheduler_wakes_up_for,
        a_lease_that_ran_out_in_a_full_lane_waits,
    },
    passes::{
        a_rotation_token_is_for_one_secret_one_version_and_a_while,
        a_rotation_token_is_worth_nothing_when_its_rotation_is_over,
        who_acts_for_one_rotation_writes_its_version_alone_and_while_it_is_open,
        a_pass_says_what_it_is_for_and_comes_from_no_key,
        a_callback_makes_the_first_value_of_a_secret_that_has_none,
        the_first_value_of_a_secret_is_kept_when_its_rotation_is_given_up,
        an_issuer_makes_the_first_value_of_a_secret_that_has_none,
    },
    deliveries::{
        every_step_that_was_sent_is_a_delivery,
        a_delivery_is_repeated_at_once_while_the_rotation_stands_there,
        a_delivery_that_the_rotation_has_left_behind_is_not_repeated,
        a_rotation_asked_for_in_the_grace_of_another_begins_when_that_is_over,
        a_person_who_saw_awscurrent_log_in_ends_what_was_given_up,
    },
    looks::{
        a_look_is_planned_within_the_interval_and_again_about_one_interval_later,
        what_is_not_rotated_or_served_by_a_registered_rotator_is_not_looked_at,
        drift_is_told_once_dated_and_counted_until_awscurrent_logs_in,
        a_value_that_is_written_over_a_rotated_one_is_tried_within_minutes_and_told,
        a_look_that_finds_out_nothing_is_no_drift,
        what_was_found_about_another_awscurrent_is_discarded,
        a_rotation_asked_for_in_a_look_begins_when_the_look_ends_and_outweighs_it,
        a_look_whose_process_died_is_not_repeated_at_once_and_keeps_nobody_out,
        a_lease_of_another_boot_is_waited_for_and_then_over,
        secrets_of_an_earlier_binary_get_their_first_look_spread_over_the_interval,
        a_look_has_awscurrent_and_whatever_else_may_log_in,
        reconciling_proves_awscurrent_first_and_ends_the_drift,
        reconciling_needs_a_rotation_that_is_configured_and_not_paused,
        the_policy_sets_awscurrent_again_three_times_and_then_stops,
        the_policy_sets_no_account_again_that_was_never_seen_to_log_in,
        the_policy_begins_nothing_where_nobody_could_set_the_password,
        work_beside_rotations_is_leased_and_told_before_it_begins,
        nothing_is_prepared_while_the_store_is_verify_only,
    },
    events::{
        what_happens_is_told_in_the_order_of_each_secret,
        only_a_change_of_the_value_is_told_as_one,
        a_rotation_is_told_from_its_start_to_its_end,
        what_was_not_committed_is_not_told,
        an_event_outlives_its_secret,
        offsets_have_no_gaps_and_are_never_given_twice,
        old_events_go_in_small_steps_oldest_first,
        no_event_goes_while_the_clock_is_doubted,
        no_event_has_a_value,
        who_waits_is_told_what_can_be_read,
    },
    subscriptions::{
        a_subscription_is_told_of_what_happens_from_then_on,
        what_is_not_taken_holds_back_its_secret_and_no_other,
        a_receiver_that_is_gone_for_an_hour_gets_everything_once_in_order,
        two_nodes_never_have_the_same_secret_of_a_subscription,
        what_a_dead_process_was_sending_is_sent_again,
        a_stale_sender_settles_nothing,
        what_nobody_takes_in_time_is_a_dead_letter_and_the_next_ones_turn,
        a_dead_letter_is_sent_once_more_or_thrown_away,
        a_replay_begins_where_it_is_told_and_keeps_the_order,
        a_replay_while_something_is_sent_waits_for_that,
        a_subscription_whose_events_were_pruned_is_told_so,
        what_was_pruned_while_it_waited_is_counted,
        a_receiver_that_is_gone_is_told_nothing_until_it_is_enabled,
        what_was_disabled_is_told_of_what_happened_meanwhile,
        a_filter_lets_through_what_it_says_and_a_changed_one_holds_at_once,
        keys_are_rotated_with_an_overlap_and_bound_to_the_settings,
        a_subscription_that_is_deleted_leaves_nothing,
    },
    rollbacks::{
        a_rollback_is_a_rotation_that_carries_awsprevious,
        a_rollback_needs_another_value_to_go_back_to,
        a_rotator_that_makes_its_values_cannot_be_given_one,
        a_rollback_to_what_is_in_its_grace_begins_at_once_and_keeps_it,
        a_grace_that_is_ended_retires_at_once_and_lets_what_waits_begin,
        within_a_grace_awscurrent_is_looked_at_and_not_set_again,
    },
} }
