//! What is wrong with a schedule, in AWS's words where they are known.

/// Rules that are no schedule. `Display` is the message for the wire; AWS answers all of these with
/// InvalidParameterException.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// Both AutomaticallyAfterDays and ScheduleExpression.
    #[error("You cannot specify both rotation frequency and schedule expression together.")]
    Both,
    /// Not an expression, or one with a part that is not supported.
    #[error("Invalid schedule expression.")]
    Invalid,
    /// The dates of a cron expression do not exist, such as the 30th of February.
    #[error("Invalid schedule expression. The dates it names never come.")]
    NeverFires,
    /// `rate(n hours)` out of range, or hours of a cron expression too close to each other.
    #[error("Rate in hour should be least 4 and less than 24.")]
    HourRange,
    /// `rate(n days)` out of range.
    #[error("Rate in day should be greater than 0 and less than 1000.")]
    DayRange,
    /// `rate(n seconds)` or `rate(n minutes)` out of range.
    #[error("Rate in seconds or minutes should be greater than 0 and less than 1000 days.")]
    SecondRange,
    /// AutomaticallyAfterDays out of range.
    #[error("AutomaticallyAfterDays must be at least 1, at most 1000.")]
    DaysRange,
    /// Duration out of range.
    #[error("Duration must be at least 1 hour, at most 24 hour.")]
    DurationRange,
    /// Not a duration.
    #[error("Duration must be at least 1 hour, at most 24 hour. It is a number and a unit, such as 3h.")]
    DurationForm,
    /// A window would still be open when the next one opens.
    #[error("Duration cannot be greater than Rate in hour.")]
    DurationAboveRate,
    /// The window of a day would end on the next day.
    #[error("Starting hour and duration must be within a day.")]
    WithinADay,
    /// Not a name of the IANA time zone database.
    #[error("Unknown time zone {0:?}. Use a name of the IANA database, such as Europe/Berlin or UTC.")]
    UnknownZone(String),
    /// Only AWS's own limits stand against these rules.
    #[error("{0} This is a limit of AWS; a server started with --schedule-limits none allows it.")]
    AwsLimit(Box<ScheduleError>),
}
