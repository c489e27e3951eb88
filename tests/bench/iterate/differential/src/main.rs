// Connected components with differential-dataflow, one worker: the loop of ../components.yaml, said in its own words.
//
//   components EDGES UPDATES LABELS
//
// EDGES: lines `a,b`; UPDATES: lines `a,b,diff`, a commit each. Prints the seconds to the first fixpoint and the
// microseconds of every update, wall clock and of processor; writes the final labels.
use std::cell::RefCell;
use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::rc::Rc;

use differential_dataflow::input::Input;
use differential_dataflow::operators::*;
use timely::dataflow::operators::probe::Handle;

// Wall clock and processor seconds of this process.
fn clocks() -> (f64, f64) {
    let mut times = [0.0; 2];
    for (time, clock) in times.iter_mut().zip([libc::CLOCK_MONOTONIC, libc::CLOCK_PROCESS_CPUTIME_ID]) {
        let mut spec = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        unsafe { libc::clock_gettime(clock, &mut spec) };
        *time = spec.tv_sec as f64 + spec.tv_nsec as f64 / 1e9;
    }
    (times[0], times[1])
}

fn rows(path: &str) -> Vec<Vec<i64>> {
    let text = fs::read_to_string(path).expect("a readable file");
    text.lines()
        .skip(1)
        .map(|line| line.split(',').map(|cell| cell.parse().expect("a number")).collect())
        .collect()
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let edges = rows(&args[1]);
    let updates = rows(&args[2]);
    timely::execute_directly(move |worker| {
        let state: Rc<RefCell<HashMap<(i64, i64), isize>>> = Rc::default();
        let seen = state.clone();
        let mut probe = Handle::new();
        let mut input = worker.dataflow(|scope| {
            let (input, edges) = scope.new_collection::<(i64, i64), isize>();
            let links = edges.clone().map(|(a, b)| (b, a)).concat(edges);
            let start = links.clone().map(|(a, _)| (a, a)).distinct();
            let labels = start.clone().iterate(|scope, labels| {
                let links = links.enter(scope);
                let start = start.enter(scope);
                labels
                    .join_map(links, |_node, label, to| (*to, *label))
                    .concat(start)
                    .reduce(|_node, labels, out| out.push((*labels[0].0, 1)))
            });
            labels
                .inspect(move |(row, _time, diff)| *seen.borrow_mut().entry(*row).or_insert(0) += *diff)
                .probe_with(&mut probe);
            input
        });
        let started = clocks();
        for edge in &edges {
            input.insert((edge[0], edge[1]));
        }
        input.advance_to(1usize);
        input.flush();
        worker.step_while(|| probe.less_than(input.time()));
        let stable = clocks();
        println!("bulk {:.6} {:.6}", stable.0 - started.0, stable.1 - started.1);
        for (i, update) in updates.iter().enumerate() {
            let begun = clocks();
            input.update((update[0], update[1]), update[2] as isize);
            input.advance_to(i + 2);
            input.flush();
            worker.step_while(|| probe.less_than(input.time()));
            let done = clocks();
            println!("update {:.7} {:.7}", done.0 - begun.0, done.1 - begun.1);
        }
        let mut out = fs::File::create(&args[3]).expect("a writable file");
        writeln!(out, "node,label").unwrap();
        for ((node, label), count) in state.borrow().iter() {
            assert!(*count == 0 || *count == 1);
            if *count == 1 {
                writeln!(out, "{node},{label}").unwrap();
            }
        }
    });
}
