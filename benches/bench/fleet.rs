//! What many scheduled secrets cost while nothing is due: memory of the process, and its scheduler's wake-ups.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::id::VersionId;
use engine::port::Clock;
use engine::schedule::Rules;
use engine::secret::SecretValue;
use pawl::boot::open_store;
use pawl::clock::SystemClock;
use pawl::config::{ServeArgs, Settings};
use store::{NewSecret, Room, Rotate, Serves, Start, Store};

use crate::median;

const WATCHED: Duration = Duration::from_secs(15);
const SIZES: [u32; 4] = [0, 1_000, 10_000, 100_000];

pub(crate) async fn run() {
    // In memory, so that a hundred thousand secrets are written within the bench's patience.
    let base = if Path::new("/dev/shm").exists() { Path::new("/dev/shm") } else { Path::new("/tmp") };
    let folder = tempfile::tempdir_in(base).expect("a folder");
    let data = folder.path().join("data");
    println!("\n### (d) Scheduled secrets of which none is due\n");
    println!(
        "| secrets | resident memory | CPU over {} s | one look for due work | ratio to none |",
        WATCHED.as_secs()
    );
    println!("|--:|--:|--:|--:|--:|");
    let mut have = 0;
    let mut baseline = None;
    for size in SIZES {
        let look = {
            let store = open(&data).await;
            fill(&store, have..size).await;
            have = size;
            look(&store).await
        };
        let process = serve(&data);
        let (memory, cpu) = watch(&process).await;
        stop(process);
        let ratio = look / *baseline.get_or_insert(look);
        println!("| {size} | {memory:.1} MiB | {cpu:.0} ms | {:.1} µs | {ratio:.2} |", look / 1e3);
    }
}

async fn open(data: &Path) -> Store {
    let args = ServeArgs { data: Some(data.to_owned()), ..ServeArgs::default() };
    open_store(&Settings::load(&args).expect("settings"), Arc::new(SystemClock)).await.expect("a store")
}

async fn fill(store: &Store, numbers: std::ops::Range<u32>) {
    let mut rng: rand::rngs::StdRng = rand::make_rng();
    let now = SystemClock.now();
    for number in numbers {
        let name = format!("fleet/{number}");
        // An account of its own: no two secrets of one are rotated.
        let value = format!(r#"{{"engine":"postgres","host":"h","username":"u{number}","password":"p"}}"#);
        let new = NewSecret {
            name: name.clone(),
            token: VersionId::random(&mut rng),
            value: Some(SecretValue::text(value.as_str())),
            description: None,
            kms_key_id: None,
            tags: None,
            replicas: vec![],
            kind: None,
            by: "bench".to_owned(),
        };
        store.create_secret(new, now).await.expect("created");
        let rotate = Rotate {
            token: VersionId::random(&mut rng),
            rotator: None,
            rules: Some(Rules { automatically_after_days: Some(30), ..Rules::default() }),
            time_zone: None,
            options: None,
            start: Start::Wait,
            external: store::External::default(),
            by: "bench".to_owned(),
            serves: Some(Serves::Builtin),
        };
        store.rotate(&name, rotate, now).await.expect("scheduled");
    }
}

/// Nanoseconds of what the scheduler asks at each wake-up: claims, and when to wake up next.
async fn look(store: &Store) -> f64 {
    let mut times = vec![];
    for _ in 0..200 {
        let began = Instant::now();
        let claims = store.claim("bench", &Room::everywhere(32), SystemClock.now()).await.expect("asked");
        assert!(claims.is_empty(), "nothing is due");
        store.next_due(&Room::everywhere(32)).await.expect("asked");
        times.push(began.elapsed().as_secs_f64() * 1e9);
    }
    median(times)
}

fn serve(data: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_pawl"))
        .args(["serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(data)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("pawl starts")
}

fn stop(mut process: Child) {
    process.kill().expect("our own child");
    process.wait().expect("it ends");
}

/// MiB resident after a while, and milliseconds of CPU spent meanwhile.
async fn watch(process: &Child) -> (f64, f64) {
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = cpu_ms(process.id());
    tokio::time::sleep(WATCHED).await;
    (resident_mib(process.id()), cpu_ms(process.id()) - before)
}

pub(crate) fn resident_mib(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line");
    line.trim().trim_end_matches(" kB").parse::<f64>().expect("a number") / 1024.0
}

/// Milliseconds of CPU that a process has used.
pub(crate) fn cpu_ms(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    let fields: Vec<&str> = stat.rsplit(") ").next().expect("fields").split(' ').collect();
    // utime and stime in hundredths of a second.
    let ticks = fields[11].parse::<f64>().expect("a number") + fields[12].parse::<f64>().expect("a number");
    ticks * 10.0
}
