//! Strided views gathered from a linear base: read in the order of the base, put down in that of the view.
//!
//! Reading element by element would be a system call each, and holding the whole base would take as much memory as
//! the tensor. So the view is cut into boxes; each box is read in spans of bounded size along the base, and put
//! down tile by tile, so that both sides stay in the cache.

use super::layout::Layout;

/// The most that is read at a time, in bytes.
const SPAN: u64 = 1 << 20;
/// A gap longer than this costs more to read through than a read of its own, in bytes.
const GAP: u64 = 4096;
/// Elements of the sides of a tile. Sixteen of f32 are a cache line of the base, which is used up while it is there.
const COLUMNS: usize = 16;
const ROWS: usize = 256;

/// Fills a buffer with base elements from one on.
type Read<'r, E> = &'r mut dyn FnMut(u64, &mut [u8]) -> Result<(), E>;

/// A dim of a box: how often, over which step of the base, over which step of the output; in elements.
#[derive(Clone, Copy, Debug)]
struct Dim {
    size: u64,
    base: u64,
    out: i64,
}

/// Fills `out` with the elements from `start` on of a view whose elements take `item` bytes; `read` fills a buffer
/// with base elements from one on.
///
/// # Errors
/// Those of `read`.
pub(super) fn gather<E>(
    layout: &Layout,
    item: u64,
    start: u64,
    out: &mut [u8],
    read: Read<'_, E>,
) -> Result<(), E> {
    let dims = layout.joined();
    let len = out.len() as u64 / item.max(1);
    let mut gatherer = Gatherer { item, out, read, scratch: Vec::new() };
    gatherer.range(&dims, layout.offset, start..start + len, 0)
}

struct Gatherer<'g, E> {
    item: u64,
    out: &'g mut [u8],
    read: Read<'g, E>,
    scratch: Vec<u8>,
}

impl<E> Gatherer<'_, E> {
    /// Gathers a range of the view over `dims` (extent and stride), as whole rows and what is left of the first
    /// and the last; `at` is where it goes.
    fn range(
        &mut self,
        dims: &[(u64, i64)],
        offset: u64,
        range: std::ops::Range<u64>,
        at: u64,
    ) -> Result<(), E> {
        let Some((&(_, stride), inner)) = dims.split_first() else {
            return if range.is_empty() { Ok(()) } else { self.whole(&[], offset, at) };
        };
        let row: u64 = inner.iter().map(|&(size, _)| size).product();
        if range.is_empty() || row == 0 {
            return Ok(());
        }
        let place = |index: u64| offset.wrapping_add_signed(stride.wrapping_mul(index.cast_signed()));
        let (mut from, mut at) = (range.start, at);
        while from < range.end {
            let (index, within) = (from / row, from % row);
            let rows = if within == 0 { (range.end - from) / row } else { 0 };
            let count = if rows > 0 {
                self.rows(rows, stride, inner, place(index), at)?;
                rows * row
            } else {
                let count = (row - within).min(range.end - from);
                self.range(inner, place(index), within..within + count, at)?;
                count
            };
            from += count;
            at += count;
        }
        Ok(())
    }

    /// Gathers whole rows: a box.
    fn rows(&mut self, rows: u64, stride: i64, inner: &[(u64, i64)], offset: u64, at: u64) -> Result<(), E> {
        let (mut base, mut place) = (offset, at.cast_signed());
        let mut step: u64 = 1;
        let mut dims = Vec::with_capacity(inner.len() + 1);
        for &(size, stride) in inner.iter().rev().chain([&(rows, stride)]) {
            let mut out = step.cast_signed();
            step *= size;
            if stride < 0 {
                // From its other end it runs forwards in the base, and backwards in the output.
                let last = (size - 1).cast_signed();
                base = base.wrapping_add_signed(stride.wrapping_mul(last));
                place += out * last;
                out = -out;
            }
            if size > 1 {
                dims.push(Dim { size, base: stride.unsigned_abs(), out });
            }
        }
        // In the order of the base; a dim that repeats elements comes first, since it reads them again.
        dims.sort_by_key(|dim| std::cmp::Reverse(if dim.base == 0 { u64::MAX } else { dim.base }));
        self.whole(&dims, base, place.cast_unsigned())
    }

    /// Gathers a box whose dims stand in the order of the base.
    fn whole(&mut self, dims: &[Dim], base: u64, at: u64) -> Result<(), E> {
        let Some((&outer, inner)) = dims.split_first() else {
            let item = memory(self.item);
            let place = memory(at) * item;
            let Some(element) = self.out.get_mut(place..place + item) else { return Ok(()) };
            return (self.read)(base, element);
        };
        // The elements of the base from the first to the last that a row reaches.
        let span: u64 =
            1 + inner.iter().map(|dim| (dim.size - 1).saturating_mul(dim.base)).fold(0, u64::saturating_add);
        let most = (SPAN / self.item).max(1);
        let dense = inner.iter().all(|dim| dim.base.saturating_mul(self.item) <= GAP + span);
        if span <= most && dense && outer.base == 0 {
            // It repeats what is read once: a file of a few bytes may say that a hundred million times.
            self.scratch.resize(memory(span * self.item), 0);
            (self.read)(base, &mut self.scratch)?;
            self.put(dims, at);
            return Ok(());
        }
        if span > most || !dense {
            for index in 0..outer.size {
                let place = at.wrapping_add_signed(outer.out.wrapping_mul(index.cast_signed()));
                self.whole(inner, base + outer.base * index, place)?;
            }
            return Ok(());
        }
        // Several rows at a time, through the gaps between them where that is cheaper.
        let through = outer.base.saturating_sub(span).saturating_mul(self.item) <= GAP;
        let pitch = if through { outer.base } else { span };
        let at_once = (most.saturating_sub(span) / pitch.max(1) + 1).min(outer.size);
        let mut first = 0;
        while first < outer.size {
            let rows = at_once.min(outer.size - first);
            let from = base + outer.base * first;
            let held = (rows - 1) * pitch + span;
            self.scratch.resize(memory(held * self.item), 0);
            if through {
                (self.read)(from, &mut self.scratch)?;
            } else {
                let row_bytes = memory(span * self.item);
                for (row, bytes) in (0..rows).zip(self.scratch.chunks_exact_mut(row_bytes)) {
                    (self.read)(from + outer.base * row, bytes)?;
                }
            }
            let place = at.wrapping_add_signed(outer.out.wrapping_mul(first.cast_signed()));
            let mut held_dims = vec![Dim { size: rows, base: pitch, out: outer.out }];
            held_dims.extend_from_slice(inner);
            self.put(&held_dims, place);
            first += rows;
        }
        Ok(())
    }

    /// Puts a box that is held down at its places.
    fn put(&mut self, dims: &[Dim], at: u64) {
        let place = at.cast_signed();
        match self.item {
            1 => put::<1>(&self.scratch, self.out, dims, 0, place),
            2 => put::<2>(&self.scratch, self.out, dims, 0, place),
            4 => put::<4>(&self.scratch, self.out, dims, 0, place),
            8 => put::<8>(&self.scratch, self.out, dims, 0, place),
            16 => put::<16>(&self.scratch, self.out, dims, 0, place),
            _ => {}
        }
    }
}

/// Copies elements of `N` bytes.
fn put<const N: usize>(from: &[u8], to: &mut [u8], dims: &[Dim], base: u64, place: i64) {
    // The dim over which the output runs, and the one over which the base does, are walked in tiles.
    let (from, to) = (from.as_chunks::<N>().0, to.as_chunks_mut::<N>().0);
    walk(dims, base, place, &mut |rows: Dim, columns: Dim, base, place| {
        let (rows_of, columns_of) = (memory(rows.size), memory(columns.size));
        if columns.out == 1 && columns.base == 1 {
            for row in 0..rows_of {
                let (base, place) = element(rows, row, base, place);
                if let Some((to, from)) =
                    to.get_mut(place..place + columns_of).zip(from.get(base..base + columns_of))
                {
                    to.copy_from_slice(from);
                }
            }
            return;
        }
        if columns.base == 1 && rows.out == 1 {
            return turn(from, to, rows, columns, base, place);
        }
        for row_tile in (0..rows_of).step_by(ROWS) {
            let count = ROWS.min(rows_of - row_tile);
            for column_tile in (0..columns_of).step_by(COLUMNS) {
                for column in column_tile..(column_tile + COLUMNS).min(columns_of) {
                    let (base, place) = element(columns, column, base, place);
                    let (base, place) = element(rows, row_tile, base as u64, place as i64);
                    line(from, to, rows, count, base, place);
                }
            }
        }
    });
}

/// Copies where the base runs over the columns and the output over the rows, through a tile.
///
/// Rows of the base often lie a power of two apart, and push each other out of the cache if one element is taken of
/// each in turn. So a line of the cache is read to its end at once, and one of the output written so.
fn turn<const N: usize>(
    from: &[[u8; N]],
    to: &mut [[u8; N]],
    rows: Dim,
    columns: Dim,
    base: u64,
    place: i64,
) {
    let (rows_of, columns_of) = (memory(rows.size), memory(columns.size));
    let mut tile = [[[0; N]; ROWS]; COLUMNS];
    for row_tile in (0..rows_of).step_by(ROWS) {
        let height = ROWS.min(rows_of - row_tile);
        for column_tile in (0..columns_of).step_by(COLUMNS) {
            let width = COLUMNS.min(columns_of - column_tile);
            let line = |row: usize| {
                let (base, _) = element(rows, row_tile + row, base + column_tile as u64, 0);
                from.get(base..base + width).unwrap_or_default()
            };
            for row in (0..height).step_by(COLUMNS) {
                let rows = COLUMNS.min(height - row);
                let lines: [&[[u8; N]]; COLUMNS] = std::array::from_fn(|nth| line(row + nth));
                // A whole square has a size that the compiler knows: it is turned without a look at bounds.
                let square = lines.map(|line| <&[[u8; N]; COLUMNS]>::try_from(line).ok());
                if rows == COLUMNS && square.iter().all(Option::is_some) {
                    let square = square.map(|line| line.copied().unwrap_or([[0; N]; COLUMNS]));
                    for (nth, column) in tile.iter_mut().enumerate() {
                        let turned: [[u8; N]; COLUMNS] = std::array::from_fn(|row| square[row][nth]);
                        column[row..row + COLUMNS].copy_from_slice(&turned);
                    }
                    continue;
                }
                for (nth, line) in lines.iter().enumerate().take(rows) {
                    for (column, value) in tile.iter_mut().zip(*line) {
                        column[row + nth] = *value;
                    }
                }
            }
            for (nth, column) in tile.iter().take(width).enumerate() {
                let (_, place) = element(columns, column_tile + nth, 0, place + row_tile as i64);
                if let Some(to) = to.get_mut(place..place + height) {
                    to.copy_from_slice(&column[..height]);
                }
            }
        }
    }
}

/// Copies `count` elements over one dim.
fn line<T: Copy>(from: &[T], to: &mut [T], dim: Dim, count: usize, base: usize, place: usize) {
    let step = memory(dim.base);
    if dim.out == 1
        && let Some(to) = to.get_mut(place..place + count)
    {
        let mut at = base;
        for to in to {
            if let Some(from) = from.get(at) {
                *to = *from;
            }
            at += step;
        }
        return;
    }
    for nth in 0..count {
        let (base, place) = element(dim, nth, base as u64, place as i64);
        if let Some((to, from)) = to.get_mut(place).zip(from.get(base)) {
            *to = *from;
        }
    }
}

/// Where the n-th element of a dim lies on both sides.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // inside of two buffers
fn element(dim: Dim, nth: usize, base: u64, place: i64) -> (usize, usize) {
    ((base + dim.base * nth as u64) as usize, (place + dim.out * nth.cast_signed() as i64) as usize)
}

/// Calls `tile` for each pair of the two innermost dims: those over which the output and the base run.
fn walk(dims: &[Dim], base: u64, place: i64, tile: &mut dyn FnMut(Dim, Dim, u64, i64)) {
    const ONE: Dim = Dim { size: 1, base: 1, out: 1 };
    match dims {
        [] => tile(ONE, ONE, base, place),
        [only] => tile(ONE, *only, base, place),
        [rows, columns] => tile(*rows, *columns, base, place),
        [outer, .., last] => {
            // The dim with the shortest step in the output goes to the last, the others are walked.
            let inner = &dims[1..];
            let near = inner[..inner.len() - 1].iter().all(|dim| dim.out.abs() > outer.out.abs());
            let (walked, rest) = if near && outer.out.abs() < last.out.abs() {
                let mut rest = inner.to_vec();
                let walked = std::mem::replace(&mut rest[0], *outer);
                (walked, rest)
            } else {
                (*outer, inner.to_vec())
            };
            for index in 0..walked.size {
                let place = place + walked.out * index.cast_signed();
                walk(&rest, base + walked.base * index, place, tile);
            }
        }
    }
}

/// A number of elements or bytes that are in memory.
#[allow(clippy::cast_possible_truncation)] // no more than a window
fn memory(count: u64) -> usize {
    count as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The simple path: each element is read by itself, in the order of the view.
    fn one_by_one(layout: &Layout, item: usize, start: u64, out: &mut [u8], base: &[u8]) {
        for (index, element) in (start..).zip(out.chunks_exact_mut(item)) {
            let (mut rest, mut at) = (index, layout.offset.cast_signed());
            for (&size, &stride) in layout.shape.iter().zip(&layout.strides).rev() {
                at += stride * (rest % size).cast_signed();
                rest /= size;
            }
            let at = memory(at.cast_unsigned()) * item;
            element.copy_from_slice(&base[at..at + item]);
        }
    }

    fn check(layout: &Layout, item: usize, range: (u64, u64), base: &[u8]) {
        let size = memory(range.1 - range.0) * item;
        let (mut gathered, mut expected) = (vec![0xaa; size], vec![0; size]);
        let done: Result<(), ()> = gather(layout, item as u64, range.0, &mut gathered, &mut |at, bytes| {
            let at = memory(at) * item;
            let from = base.get(at..at + bytes.len()).ok_or(())?;
            bytes.copy_from_slice(from);
            Ok(())
        });
        assert_eq!(done, Ok(()), "it reads outside of the base: {layout:?}");
        one_by_one(layout, item, range.0, &mut expected, base);
        assert!(gathered == expected, "{layout:?} {range:?}");
    }

    fn numbers(count: usize) -> Vec<u8> {
        (0_u32..).take(count).flat_map(|n| (n.wrapping_mul(2_654_435_761)).to_le_bytes()).collect()
    }

    proptest! {
        #[test]
        fn gathers_what_reading_one_by_one_gives(
            sizes in proptest::collection::vec(1u64..7, 1..5),
            order in any::<u64>(),
            cuts in proptest::collection::vec((0u64..7, 1u64..7), 5),
            flips in any::<u8>(),
            item in prop_oneof![Just(1usize), Just(2), Just(4), Just(8), Just(16)],
            ends in (0.0f64..1.0, 0.0f64..1.0),
        ) {
            let mut layout = Layout::contiguous(&sizes);
            let base = numbers(memory(sizes.iter().product()) * 4);
            let mut dims: Vec<usize> = (0..sizes.len()).collect();
            let mut random = order;
            for left in (1..dims.len()).rev() {
                dims.swap(left, memory(random % (left as u64 + 1)));
                random /= left as u64 + 1;
            }
            layout.permute(&dims);
            for (dim, &(start, len)) in cuts.iter().enumerate().take(sizes.len()) {
                let start = start.min(layout.shape[dim] - 1);
                let len = len.min(layout.shape[dim] - start);
                layout.narrow(dim, start, len);
                if flips >> dim & 1 == 1 {
                    layout.flip(dim);
                }
            }
            if flips >> 7 == 1 {
                // A dim that repeats.
                layout.shape.push(3);
                layout.strides.push(0);
            }
            let count: u64 = layout.shape.iter().product();
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
            let at = |part: f64| (part * (count as f64 + 1.0)) as u64;
            let (from, to) = (at(ends.0).min(at(ends.1)), at(ends.0).max(at(ends.1)).min(count));
            check(&layout, item, (from.min(to), to), &base);
        }
    }

    #[test]
    fn what_repeats_is_read_once() {
        // One element two million times, in two dims; and three elements behind each other, repeated in between.
        let repeats = [
            (vec![1000, 2000], vec![0, 0], 1),
            (vec![1000, 3, 700], vec![0, 1, 0], 3),
            (vec![3, 1_000_000], vec![1, 0], 3),
        ];
        for (shape, strides, elements) in repeats {
            let layout = Layout { shape, strides, offset: 2 };
            let count: u64 = layout.shape.iter().product();
            let (base, mut reads) = (numbers(8), 0);
            let (mut out, mut expected) = (vec![0xaa; memory(count) * 4], vec![0; memory(count) * 4]);
            let done: Result<(), ()> = gather(&layout, 4, 0, &mut out, &mut |at, bytes| {
                reads += bytes.len() / 4;
                let at = memory(at) * 4;
                bytes.copy_from_slice(&base[at..at + bytes.len()]);
                Ok(())
            });
            one_by_one(&layout, 4, 0, &mut expected, &base);
            assert!(done.is_ok() && out == expected);
            assert_eq!(reads, elements, "{layout:?}");
        }
    }

    #[test]
    fn spans_and_gaps_of_every_kind() {
        // Longer than a span, with gaps that are read through and gaps that are not.
        for (rows, columns, narrow) in [(3000, 700, 1), (5, 600_000, 3), (600_000, 3, 2), (2000, 2000, 1500)]
        {
            let base = numbers(rows * columns);
            let mut layout = Layout::contiguous(&[rows as u64, columns as u64]);
            layout.narrow(1, 0, narrow);
            layout.permute(&[1, 0]);
            let count = layout.shape.iter().product();
            check(&layout, 4, (0, count), &base);
            check(&layout, 4, (count / 3, count / 2), &base);
        }
    }
}
