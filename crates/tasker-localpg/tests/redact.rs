//! Passwords in every place where a URL can hold one.

use tasker_localpg::redact_url;

#[test]
fn passwords_are_hidden_wherever_libpq_takes_them() {
    for (given, shown) in [
        ("postgres://ann:pw@h:5432/d", "postgres://ann:***@h:5432/d"),
        ("postgres://:pw@h/d", "postgres://:***@h/d"),
        ("postgres://ann@h/d?password=pw&x=1", "postgres://ann@h/d?password=***&x=1"),
        ("postgres://h/d?sslpassword=pw", "postgres://h/d?sslpassword=***"),
        ("host=h password=pw dbname=d", "host=h password=*** dbname=d"),
        ("host=h PASSWORD = 'p w\\' x' dbname=d", "host=h PASSWORD = *** dbname=d"),
        ("password='never closed", "password=***"),
        ("mysql://a:b@h mysql://c:d@h", "mysql://a:***@h mysql://c:***@h"),
    ] {
        assert_eq!(redact_url(given), shown);
    }
}

#[test]
fn a_mistyped_password_is_hidden_as_well() {
    for given in ["postgres://ann:p@w@h/d", "postgres://ann:p/w?@h/d", "postgres://ann:p w@h/d"] {
        assert_eq!(redact_url(given), "postgres://ann:***@h/d");
    }
}

#[test]
fn text_without_a_password_stays_as_it_is() {
    for text in [
        "",
        "postgres://postgres@/postgres?host=%2Ftmp%2Fx&port=5432",
        "postgres://localhost:5432/app",
        "host=h dbname=d user=é",
        "could not reach postgres://h:5432/d, ask admin@example.org",
        "the password was wrong",
    ] {
        assert_eq!(redact_url(text), text);
    }
}
