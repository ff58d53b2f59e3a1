//! Which access key a request says it was signed with, right or wrong: for the record of a call that proved nothing.
//!
//! Never here: whether that is true. A signature does not make it so: it may cover two such texts, and this reads the first.

use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;

/// The access key id in the `Authorization` header, else in the query of a presigned URL.
pub(crate) fn claimed_key(request: &Parts) -> Option<&str> {
    let header = request.headers.get(AUTHORIZATION).and_then(|header| header.to_str().ok());
    let credential = match header {
        Some(header) => after(header, "Credential=")?,
        None => after(request.uri.query()?, "X-Amz-Credential=")?,
    };
    let key = credential.split(['/', '%', ',', ' ', '&']).next()?;
    (!key.is_empty()).then_some(key)
}

fn after<'t>(text: &'t str, marker: &str) -> Option<&'t str> {
    text.split_once(marker).map(|(_, rest)| rest)
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn of_header(header: &str) -> Option<String> {
        let request = Request::post("/").header(AUTHORIZATION, header).body(()).expect("a request");
        claimed_key(&request.into_parts().0).map(str::to_owned)
    }

    #[test]
    fn the_key_is_found_in_the_header_and_in_a_presigned_url() {
        let key = of_header("AWS4-HMAC-SHA256 Credential=AKIA1/20260310/us-east-1/x/aws4_request, Signature=0");
        assert_eq!(key.as_deref(), Some("AKIA1"));
        let presigned = Request::post("/?X-Amz-Credential=AKIA2%2F20260310&X-Amz-Date=x").body(()).expect("a request");
        assert_eq!(claimed_key(&presigned.into_parts().0), Some("AKIA2"));
    }

    #[test]
    fn other_schemes_claim_no_key() {
        assert_eq!(of_header("Basic dTpw"), None);
        assert_eq!(of_header("AWS4-HMAC-SHA256 Credential=, Signature=0"), None);
        let unsigned = Request::post("/").body(()).expect("a request");
        assert_eq!(claimed_key(&unsigned.into_parts().0), None);
    }
}
