"""What the rules that set rows aside mean, for readers of the data collection report."""

from __future__ import annotations

from collections.abc import Mapping

from funnel_lib.reporting.wording import Say, Sentence


def rule_meanings(say: Say) -> Mapping[str, Sentence]:
    """Return what each rule of `collection.batch.REASONS` means; values of single rows are never told."""
    return {
        "broken_json": say("The line is not one complete JSON object: the export was cut off or mixed up."),
        "bad_encoding": say("The line cannot be read as text: it was saved in another encoding."),
        "wrong_fields": say("The row has another number of fields than the header, often because of a stray comma."),
        "broken_quotes": say("The quotation marks of the row do not match, so its fields cannot be told apart."),
        "blank_row": say("The row is empty."),
        "repeated_header": say("The row repeats the header, as when files are put together."),
        "null_bytes": say("The line holds null bytes: the file was damaged or is not a text."),
        "cut_off": say("The packed file ends too early: all rows behind this one are missing."),
        "too_long": say("The line is longer than any real row: the quotation marks or the file are damaged."),
        "no_log_line": say("The line is none of a web server's log."),
        "other_request": say("The request carries no event, or the server refused it."),
        "missing_value": say("A column is empty that must not be, such as the id, the event or the time."),
        "rounded_id": say("The id was rounded by a spreadsheet, so that it may stand for several people."),
        "unreadable_time": say("A time cannot be read without guessing."),
        "unreadable_number": say("A number cannot be read."),
        "unknown_status": say("The status is none of open, won and lost."),
        "score_range": say("The score lies outside its scale."),
        "ancient": say("A time lies before the first day that the workbook takes for possible."),
        "future": say("A time lies beyond the day of the export."),
        "not_before": say("A time lies before one that it must not precede, such as a sale before the first visit."),
        "duplicate_key": say("Another row has the same key and says something else."),
        "excluded_hit": say("The system itself leaves the row out of its reports."),
        "bot": say("The browser is that of a machine, not of a person."),
        "test_account": say("The row belongs to a test account of the business."),
        "internal": say("The business's own people did this; it is no customer's."),
        "unknown_event": say("The event is none of those that the workbook lists as known."),
        "clock_skew": say("The event lies after its own arrival: the clock of the device was wrong."),
    }
