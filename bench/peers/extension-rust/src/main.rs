//! The shape of work of a crash reporter in Rust, for the benchmark of CrashReporterLayer: registers, listens, subscribes, looks through
//! each batch of telemetry for one error, and can post it over TLS, with the libraries of the original (tokio on all threads, reqwest with
//! rustls, tracing). Nothing else, and not shipped.
use serde_json::{json, Value};
use std::env;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const WANTED: &str = "Runtime.HandlerNotFound";

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().with_max_level(tracing::Level::INFO).without_time().init();
    let api = format!("http://{}", env::var("AWS_LAMBDA_RUNTIME_API")?);
    let name = env::args().next().unwrap_or_default();
    let name = name.rsplit('/').next().unwrap_or_default().to_owned();
    let client = reqwest::Client::new();
    let registered = client
        .post(format!("{api}/2020-01-01/extension/register"))
        .header("Lambda-Extension-Name", name)
        .body(json!({ "events": ["SHUTDOWN"] }).to_string())
        .send()
        .await?;
    tracing::info!("registered");
    let id = registered.headers()["lambda-extension-identifier"].clone();
    let host = env::var("CRASH_REPORTER_LISTEN_HOST").unwrap_or("0.0.0.0".into());
    let listener = TcpListener::bind((host.as_str(), 0)).await?;
    let port = listener.local_addr()?.port();
    let reporting = client.clone();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(serve(socket, reporting.clone()));
        }
    });
    client
        .put(format!("{api}/2022-07-01/telemetry"))
        .header("Lambda-Extension-Identifier", id.clone())
        .header("Content-Type", "application/json")
        .body(
            json!({ "schemaVersion": "2022-12-13", "types": ["platform", "function"],
                "buffering": { "maxItems": 1000, "maxBytes": 262144, "timeoutMs": 25 },
                "destination": { "protocol": "HTTP", "URI": format!("http://sandbox.localdomain:{port}/") } })
            .to_string(),
        )
        .send()
        .await?;
    loop {
        let event = client
            .get(format!("{api}/2020-01-01/extension/event/next"))
            .header("Lambda-Extension-Identifier", id.clone())
            .send()
            .await?
            .text()
            .await?;
        if event.contains("SHUTDOWN") {
            return Ok(());
        }
    }
}

/// Reads posts with a length until the other side closes.
async fn serve(mut socket: TcpStream, client: reqwest::Client) {
    let mut buffer: Vec<u8> = Vec::new();
    let mut chunk = [0u8; 16384];
    loop {
        let head = buffer.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4);
        let length = head.and_then(|end| {
            let text = String::from_utf8_lossy(&buffer[..end]).to_lowercase();
            let (_, rest) = text.split_once("content-length:")?;
            rest.split_once("\r\n")?.0.trim().parse::<usize>().ok()
        });
        if let (Some(head), Some(length)) = (head, length) {
            if buffer.len() >= head + length {
                batch(&buffer[head..head + length], &client).await;
                buffer.drain(..head + length);
                if socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.is_err() {
                    return;
                }
                continue;
            }
        }
        match socket.read(&mut chunk).await {
            Ok(0) | Err(_) => return,
            Ok(n) => buffer.extend_from_slice(&chunk[..n]),
        }
    }
}

async fn batch(body: &[u8], client: &reqwest::Client) {
    let Ok(Value::Array(events)) = serde_json::from_slice::<Value>(body) else { return };
    for event in events {
        let text = event["record"].to_string();
        if event["type"] == "function" && text.contains(WANTED) {
            if let Ok(url) = env::var("REPORT_TO") {
                let _ = client.post(url).body(json!({ "message": text }).to_string()).send().await;
            }
        }
    }
}
