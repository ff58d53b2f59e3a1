//! The AWS SDK for Rust as a client of a running `pawl serve`. Its HTTP goes over the client that Pawl has already: its own
//! would bring another TLS provider; and notes which operations were asked.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use aws_sdk_secretsmanager::config::http::{HttpRequest, HttpResponse};
use aws_sdk_secretsmanager::config::{BehaviorVersion, Credentials, HttpClient, Region, RuntimeComponents};
use aws_sdk_secretsmanager::error::{BoxError, ConnectorError};
use aws_sdk_secretsmanager::{Client, Config};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};

use super::pawl::Pawl;

/// The SDK, as the administrator, and what was asked with it.
pub(crate) fn sdk(pawl: &Pawl) -> (Client, Http) {
    pawl::boot::install_tls_provider();
    let by = pawl.administrator();
    let secret = by.secret.expose_str().expect("text").to_owned();
    let key = Credentials::new(by.access_key_id, secret, None, None, "file");
    let http = Http::default();
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(&pawl.url)
        .credentials_provider(key)
        .http_client(http.clone())
        .build();
    (Client::from_conf(config), http)
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Http {
    client: reqwest::Client,
    called: Arc<Mutex<BTreeSet<String>>>,
}

impl Http {
    /// The operations that were asked until now.
    pub(crate) fn called(&self) -> BTreeSet<String> {
        self.called.lock().expect("no test has panicked").clone()
    }

    async fn send(self, request: HttpRequest) -> Result<HttpResponse, BoxError> {
        if let Some(operation) = request.headers().get("x-amz-target").and_then(|target| target.rsplit('.').next()) {
            self.called.lock().expect("no test has panicked").insert(operation.to_owned());
        }
        let request = request.try_into_http1x()?.map(|body| body.bytes().map(<[u8]>::to_vec).unwrap_or_default());
        let answer = self.client.execute(request.try_into()?).await?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let body = answer.bytes().await?.to_vec();
        let mut response = HttpResponse::new(status.as_u16().try_into()?, body.into());
        for (name, value) in &headers {
            response.headers_mut().append(name.as_str().to_owned(), value.to_str()?.to_owned());
        }
        Ok(response)
    }
}

impl HttpConnector for Http {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let http = self.clone();
        HttpConnectorFuture::new(
            async move { http.send(request).await.map_err(|error| ConnectorError::other(error, None)) },
        )
    }
}

impl HttpClient for Http {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}
