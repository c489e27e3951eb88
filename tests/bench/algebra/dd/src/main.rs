//! The benchmark jobs in differential-dataflow: one worker, rows made in memory by the formulas of jobs.h.
//!
//!     algebra-dd JOB ROWS KEYS UPDATES      prints one line of JSON
//!
//! Every answer goes into a global sum, which is what the single updates wait for.

use differential_dataflow::input::{Input, InputSession};
use std::time::Instant;
use timely::dataflow::operators::probe::Handle;

type Row = (i64, i64);
type Sums = (isize, (isize, isize));
type Worker = timely::worker::Worker;

fn mix(i: i64) -> u64 {
    let mut z = (i as u64).wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
fn key_of(i: i64, keys: i64) -> i64 {
    (mix(i) % keys as u64) as i64
}
fn value_of(i: i64) -> i64 {
    (mix(i ^ (1 << 40)) % 1_000_000) as i64
}

struct Job {
    rows: i64,
    keys: i64,
    updates: i64,
}

/// What a run measured: seconds for all rows, seconds for the deletions, microseconds of each update.
#[derive(Default)]
struct Numbers {
    bulk: f64,
    bulk_cpu: f64,
    deletes: f64,
    update_us: Vec<f64>,
    sums: Vec<(i64, i64, i64)>,
}

type Answer = std::rc::Rc<std::cell::Cell<(i64, i64, i64)>>;

/// The global sums of a collection, and a probe behind them.
fn watch<'scope>(
    sums: differential_dataflow::VecCollection<'scope, u64, (), Sums>,
) -> (Handle<u64>, Answer) {
    use differential_dataflow::operators::count::CountTotal;
    let answer = Answer::default();
    let mine = answer.clone();
    let (probe, _) = sums
        .count_total()
        .inspect(move |((_, (count, (a, b))), _, diff)| {
            if *diff > 0 {
                mine.set((*count as i64, *a as i64, *b as i64));
            }
        })
        .probe();
    (probe, answer)
}

struct Inputs {
    main: InputSession<u64, Row, isize>,
    side: Option<InputSession<u64, Row, isize>>,
}

impl Inputs {
    /// Ends the current time, and works until its answer is out.
    fn close(&mut self, worker: &mut Worker, probe: &Handle<u64>) {
        let next = *self.main.time() + 1;
        self.main.advance_to(next);
        self.main.flush();
        if let Some(side) = &mut self.side {
            side.advance_to(next);
            side.flush();
        }
        worker.step_while(|| probe.less_than(&next));
    }
}

fn seconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64()
}

/// CPU time of this process, as Linux tells it.
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|ns| ns.parse::<f64>().ok()).unwrap_or(0.0) / 1e9
}

const STEP_EVERY: i64 = 100_000;

fn load(worker: &mut Worker, input: &mut InputSession<u64, Row, isize>, rows: i64, row: impl Fn(i64) -> Row) {
    for i in 0..rows {
        input.insert(row(i));
        if i % STEP_EVERY == STEP_EVERY - 1 {
            worker.step();
        }
    }
}

fn join(worker: &mut Worker, job: &Job) -> Numbers {
    let (mut inputs, probe, answer) = worker.dataflow::<u64, _, _>(|scope| {
        let (main, orders) = scope.new_collection::<Row, isize>();
        let (side, people) = scope.new_collection::<Row, isize>();
        let joined = orders.arrange_by_key().join_core(people.arrange_by_key(), |_, amount, height| Some((*amount, *height)));
        let (probe, answer) = watch(joined.explode(|(amount, height)| Some(((), (1isize, (amount as isize, height as isize))))));
        (Inputs { main, side: Some(side) }, probe, answer)
    });
    let order = |i: i64| (key_of(i, job.keys), i % 1000);
    let mut numbers = Numbers::default();
    let (start, cpu) = (Instant::now(), cpu_seconds());
    load(worker, inputs.side.as_mut().unwrap(), job.keys, |j| (j, value_of(j)));
    load(worker, &mut inputs.main, job.rows, order);
    inputs.close(worker, &probe);
    numbers.bulk = seconds(start);
    numbers.bulk_cpu = cpu_seconds() - cpu;
    numbers.sums.push(answer.get());
    for u in 0..job.updates {
        let i = (u * 104_729) % job.rows;
        let start = Instant::now();
        let (person, amount) = order(i);
        inputs.main.remove((person, amount));
        inputs.main.insert((person, amount + 1000));
        inputs.close(worker, &probe);
        numbers.update_us.push(seconds(start) * 1e6);
    }
    numbers.sums.push(answer.get());
    numbers
}

fn groupby(worker: &mut Worker, job: &Job) -> Numbers {
    let (mut inputs, probe, answer) = worker.dataflow::<u64, _, _>(|scope| {
        let (main, rows) = scope.new_collection::<Row, isize>();
        let groups = rows.reduce(|_, input, output| {
            let count: isize = input.iter().map(|(_, n)| *n).sum();
            output.push(((count as i64, *input[0].0, *input[input.len() - 1].0), 1isize));
        });
        let (probe, answer) =
            watch(groups.explode(|(_, (count, low, high))| Some(((), (count as isize, (low as isize, high as isize))))));
        (Inputs { main, side: None }, probe, answer)
    });
    let row = |i: i64| (key_of(i, job.keys), value_of(i));
    let mut numbers = Numbers::default();
    let (start, cpu) = (Instant::now(), cpu_seconds());
    load(worker, &mut inputs.main, job.rows, row);
    inputs.close(worker, &probe);
    numbers.bulk = seconds(start);
    numbers.bulk_cpu = cpu_seconds() - cpu;
    numbers.sums.push(answer.get());

    let start = Instant::now();
    for i in (0..job.rows).step_by(10) {
        inputs.main.remove(row(i));
    }
    inputs.close(worker, &probe);
    numbers.deletes = seconds(start);
    numbers.sums.push(answer.get());

    for u in 0..job.updates {
        let start = Instant::now();
        inputs.main.remove(row(10 * u + 1));
        inputs.close(worker, &probe);
        numbers.update_us.push(seconds(start) * 1e6);
    }
    numbers.sums.push(answer.get());
    numbers
}

fn topk(worker: &mut Worker, job: &Job) -> Numbers {
    let (mut inputs, probe, answer) = worker.dataflow::<u64, _, _>(|scope| {
        let (main, rows) = scope.new_collection::<Row, isize>();
        let top = rows.reduce(|_, input, output| {
            let mut left = 10;
            for (value, count) in input {
                let taken = left.min(*count);
                output.push((**value, taken));
                left -= taken;
                if left == 0 {
                    break;
                }
            }
        });
        let (probe, answer) = watch(top.explode(|(_, value)| Some(((), (1isize, (value as isize, 0))))));
        (Inputs { main, side: None }, probe, answer)
    });
    let row = |i: i64| (key_of(i, job.keys), value_of(i));
    let mut numbers = Numbers::default();
    let (start, cpu) = (Instant::now(), cpu_seconds());
    load(worker, &mut inputs.main, job.rows, row);
    inputs.close(worker, &probe);
    numbers.bulk = seconds(start);
    numbers.bulk_cpu = cpu_seconds() - cpu;
    numbers.sums.push(answer.get());
    for u in 0..job.updates {
        let start = Instant::now();
        let new = (key_of(job.rows + u / 2, job.keys), -1 - u / 2);
        inputs.main.update(new, if u % 2 == 0 { 1 } else { -1 });
        inputs.close(worker, &probe);
        numbers.update_us.push(seconds(start) * 1e6);
    }
    numbers.sums.push(answer.get());
    numbers
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |i: usize| arguments[i].parse::<i64>().expect("a number");
    let name = arguments[1].clone();
    let job = Job { rows: number(2), keys: number(3), updates: number(4) };
    let numbers = timely::execute_directly(move |worker| match name.as_str() {
        "join" => join(worker, &job),
        "groupby" => groupby(worker, &job),
        "topk" => topk(worker, &job),
        other => panic!("no job {other}: join, groupby or topk"),
    });
    let sums: Vec<String> = numbers.sums.iter().map(|(n, a, b)| format!("[{n}, {a}, {b}]")).collect();
    println!(
        "{{\"bulk_s\": {:.6}, \"bulk_cpu_s\": {:.3}, \"deletes_s\": {:.6}, \"update_us\": {:?}, \"sums\": [{}]}}",
        numbers.bulk,
        numbers.bulk_cpu,
        numbers.deletes,
        numbers.update_us,
        sums.join(", ")
    );
}
