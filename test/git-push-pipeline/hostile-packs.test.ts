import * as fs from 'node:fs';
import { afterAll, beforeAll, beforeEach, describe, expect, it, type MockInstance, vi } from 'vitest';
import { listZip, zipStore } from './harness';
import { delta, objectId, PackBuilder } from './pack-builder';
import { noise } from './sample-repository';
import { temporaryDirectory } from '../../demo/hosts/git/git-server';
import type { ArchiveOptions } from '../../lambda-src/git-push-pipeline/git/commit-archive';
import { Deadline } from '../../lambda-src/git-push-pipeline/git/deadline';
import { GitError } from '../../lambda-src/git-push-pipeline/git/errors';
import {
  DEFAULT_LIMITS,
  DiskBudget,
  type Limits,
  MAX_HELD_BYTES,
} from '../../lambda-src/git-push-pipeline/git/limits';
import { ObjectStore } from '../../lambda-src/git-push-pipeline/git/object-store';
import { receivePack } from '../../lambda-src/git-push-pipeline/git/receive-pack';
import { ScratchFile } from '../../lambda-src/git-push-pipeline/git/scratch-file';

async function* inPieces(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

describe('a pack', () => {
  let directory: string;
  beforeAll(() => {
    directory = temporaryDirectory();
  });
  afterAll(() => fs.rmSync(directory, { recursive: true, force: true }));

  const withPack = async <T>(
    pack: Buffer,
    act: (store: ObjectStore, deadline: Deadline) => Promise<T>,
    limits: Limits = DEFAULT_LIMITS,
    piece = 65_536,
    milliseconds = 120_000,
  ): Promise<T> => {
    const disk = new DiskBudget(limits);
    const deadline = new Deadline(Date.now() + milliseconds);
    const file = new ScratchFile(directory, disk);
    let store: ObjectStore | undefined;
    try {
      await receivePack(inPieces(pack, piece), file, limits);
      store = await ObjectStore.index(file, directory, limits, disk, deadline);
      return await act(store, deadline);
    } finally {
      deadline.dispose();
      store?.close();
    }
  };
  const zip = (
    builder: PackBuilder,
    commit: string,
    limits: Partial<Limits> = {},
    archive: Partial<ArchiveOptions> = {},
  ): Promise<ReturnType<typeof listZip>> => {
    const all = { ...DEFAULT_LIMITS, ...limits };
    return withPack(
      builder.build(),
      async (store, deadline) =>
        listZip((await zipStore(store, commit, directory, deadline, all, archive)).file),
      all,
    );
  };
  const index = (builder: PackBuilder, count?: number): Promise<number> =>
    withPack(builder.build(count), async store => store.count);

  describe('with deltas', () => {
    const base = 'the quick brown fox jumps over the lazy dog\n'.repeat(50);
    const copyAll = (text: string) => ({ copy: [0, text.length] as [number, number] });

    it('is resolved whether they name their base by offset or by id', async () => {
      const pack = new PackBuilder();
      const { id, offset } = pack.object('blob', base);
      pack.offsetDelta(offset, delta(base.length, base.length + 3, copyAll(base), { insert: 'one' }));
      pack.idDelta(id, delta(base.length, base.length + 3, copyAll(base), { insert: 'two' }));
      const results = [objectId('blob', `${base}one`), objectId('blob', `${base}two`)];
      const { entries } = await zip(
        pack,
        pack.commit(['100644', 'a', results[0]], ['100644', 'b', results[1]]),
      );
      expect(entries.map(entry => entry.id)).toEqual(results);
    });

    it('is resolved where a base comes after its deltas, and deltas of deltas too', async () => {
      const pack = new PackBuilder();
      const first = `${base}1`;
      const second = `${base}12`;
      const third = `${base}123`;
      const waiting = pack.idDelta(
        objectId('blob', first),
        delta(first.length, second.length, copyAll(first), { insert: '2' }),
      );
      pack.offsetDelta(waiting, delta(second.length, third.length, copyAll(second), { insert: '3' }));
      pack.idDelta(objectId('blob', base), delta(base.length, first.length, copyAll(base), { insert: '1' }));
      pack.object('blob', base);
      const ids = [first, second, third].map(text => objectId('blob', text));
      const { entries } = await zip(
        pack,
        pack.commit(['100644', 'a', ids[0]], ['100644', 'b', ids[1]], ['100644', 'c', ids[2]]),
      );
      expect(entries.map(entry => entry.id)).toEqual(ids);
    });

    it('is resolved along a chain of 2,000', async () => {
      const pack = new PackBuilder();
      let { offset } = pack.object('blob', base);
      let text = base;
      for (let i = 0; i < 2000; i++) {
        offset = pack.offsetDelta(
          offset,
          delta(text.length, text.length, { copy: [1, text.length - 1] }, { insert: String(i % 10) }),
        );
        text = `${text.slice(1)}${i % 10}`;
      }
      const { entries } = await zip(pack, pack.commit(['100644', 'a', objectId('blob', text)]));
      expect(entries[0].id).toBe(objectId('blob', text));
    });

    it.each([
      ['reads past its base', delta(base.length, 10, { copy: [base.length - 5, 10] })],
      ['is of another base size', delta(base.length - 1, 5, { copy: [0, 5] })],
      ['makes less than it says', delta(base.length, 10, { copy: [0, 5] })],
      ['makes more than it says', delta(base.length, 3, { copy: [0, 5] })],
      ['inserts more than it holds', Buffer.concat([delta(base.length, 20), Buffer.from([20, 65])])],
      ['has the reserved instruction', Buffer.concat([delta(base.length, 5), Buffer.from([0])])],
      ['ends in the middle of a copy', Buffer.concat([delta(base.length, 5), Buffer.from([0x91])])],
      ['is empty', Buffer.alloc(0)],
    ])('is corrupt where one %s', async (_case, bad) => {
      const pack = new PackBuilder();
      const { offset } = pack.object('blob', base);
      pack.offsetDelta(offset, bad);
      await expect(index(pack)).rejects.toMatchObject({ code: 'CORRUPT_PACK' });
    });

    it('is corrupt where a base is missing, is no object, or is the delta itself', async () => {
      const missing = new PackBuilder();
      missing.idDelta('ab'.repeat(20), delta(5, 5, { copy: [0, 5] }));
      await expect(index(missing)).rejects.toMatchObject({
        code: 'CORRUPT_PACK',
        message: expect.stringContaining('base is missing'),
      });
      const inside = new PackBuilder();
      const { offset } = inside.object('blob', base);
      inside.offsetDelta(offset + 1, delta(base.length, 5, { copy: [0, 5] }));
      await expect(index(inside)).rejects.toMatchObject({ code: 'CORRUPT_PACK' });
      const self = new PackBuilder();
      self.entry(6, 3, Buffer.from([0]), Buffer.from('x'));
      await expect(index(self)).rejects.toMatchObject({ code: 'CORRUPT_PACK' });
    });

    it('is refused where one claims a result over the limit, before it is made', async () => {
      const pack = new PackBuilder();
      const { offset } = pack.object('blob', base);
      pack.offsetDelta(offset, delta(base.length, 2 ** 45, { copy: [0, 5] }));
      await expect(index(pack)).rejects.toMatchObject({ code: 'LIMIT' });
    });
  });

  describe('with files too large to hold', () => {
    const large = Buffer.alloc(MAX_HELD_BYTES + 1_000_000, 'a line that is repeated for ever\n');

    it('streams them, whole and as deltas of each other, into the zip', async () => {
      const pack = new PackBuilder();
      const { id, offset } = pack.object('blob', large);
      const pieces = [];
      for (let at = 0; at < large.length; at += 0xffff00) {
        pieces.push({ copy: [at, Math.min(0xffff00, large.length - at)] as [number, number] });
      }
      const longer = Buffer.concat([large, Buffer.from('end')]);
      const second = pack.offsetDelta(
        offset,
        delta(large.length, longer.length, ...pieces, { insert: 'end' }),
      );
      // A small file out of a large base, and a large file out of that base's delta.
      pack.offsetDelta(second, delta(longer.length, 100, { copy: [longer.length - 100, 100] }));
      const small = objectId('blob', longer.subarray(-100));
      const again = Buffer.concat([longer, Buffer.from('!')]);
      pack.offsetDelta(
        second,
        delta(longer.length, again.length, ...pieces, { copy: [large.length, 3] }, { insert: '!' }),
      );
      const ids = [id, objectId('blob', longer), small, objectId('blob', again)];
      const { entries } = await zip(
        pack,
        pack.commit(...ids.map((blob, i) => ['100755', `f${i}`, blob] as [string, string, string])),
      );
      expect(entries.map(entry => entry.id)).toEqual(ids);
    });

    it('refuses them over the limit, and never needs more disk than allowed', async () => {
      const pack = new PackBuilder();
      const { id, offset } = pack.object('blob', large);
      const copies = [0, 1, 2].map(i => ({
        copy: [i * 0xffff00, i < 2 ? 0xffff00 : large.length - 2 * 0xffff00] as [number, number],
      }));
      pack.offsetDelta(offset, delta(large.length, large.length, ...copies));
      const commit = pack.commit(['100644', 'a', id]);
      await expect(zip(pack, commit, { maxObjectBytes: MAX_HELD_BYTES })).rejects.toMatchObject({
        code: 'LIMIT',
      });
      await expect(zip(pack, commit, { maxDiskBytes: 2_000_000 })).rejects.toMatchObject({ code: 'LIMIT' });
    });
  });

  it('is read the same in pieces of any size', async () => {
    const pack = new PackBuilder();
    const blob = pack.object('blob', 'x').id;
    pack.commit(['100644', 'a', blob]);
    for (const piece of [1, 7, 19, 20, 21, 1000]) {
      expect(await withPack(pack.build(), async store => store.find(blob), DEFAULT_LIMITS, piece)).toBe(0);
    }
  });

  it.each([
    ['has bytes after its last object', (pack: PackBuilder) => pack.build(1)],
    ['claims more objects than it has', (pack: PackBuilder) => pack.build(3)],
    ['claims more objects than it could have', (pack: PackBuilder) => pack.build(500_000)],
    [
      'is of version 9',
      (pack: PackBuilder) =>
        Buffer.concat([Buffer.from('PACK'), Buffer.from([0, 0, 0, 9]), pack.build().subarray(8)]),
    ],
    ['is not a pack', () => Buffer.from('x'.repeat(100))],
    ['is empty', () => Buffer.alloc(0)],
    ['lacks its last byte', (pack: PackBuilder) => pack.build().subarray(0, -1)],
  ])('that %s is corrupt', async (_case, make) => {
    const pack = new PackBuilder();
    pack.object('blob', 'one');
    pack.object('blob', 'two');
    await expect(withPack(make(pack), async () => undefined)).rejects.toMatchObject({
      code: 'CORRUPT_PACK',
      retryable: true,
    });
  });

  it('with sound objects and another checksum is corrupt', async () => {
    const pack = new PackBuilder();
    pack.object('blob', 'one');
    const bytes = pack.build();
    bytes[bytes.length - 1] ^= 1;
    await expect(withPack(bytes, async () => undefined)).rejects.toMatchObject({
      code: 'CORRUPT_PACK',
      message: expect.stringContaining('checksum'),
    });
  });

  it.each([
    ['unpacks to more than it says', 2, 'three'],
    ['unpacks to less than it says', 9, 'three'],
  ])('whose object %s is corrupt', async (_case, size, text) => {
    const { deflateSync } = await import('node:zlib');
    const pack = new PackBuilder();
    pack.entry(3, size, Buffer.alloc(0), deflateSync(text));
    await expect(index(pack)).rejects.toMatchObject({ code: 'CORRUPT_PACK' });
  });

  it('that lacks a file or tree of its commit, or the commit, is corrupt', async () => {
    const pack = new PackBuilder();
    const other = pack.commit(['40000', 'a', 'cd'.repeat(20)]);
    const commit = pack.commit(['100644', 'a', 'ab'.repeat(20)]);
    await expect(zip(pack, commit)).rejects.toMatchObject({ code: 'CORRUPT_PACK' });
    await expect(zip(pack, other)).rejects.toMatchObject({ code: 'CORRUPT_PACK' });
    await expect(zip(pack, 'ef'.repeat(20))).rejects.toMatchObject({ code: 'CORRUPT_PACK' });
  });

  it('whose tag leads to a tree is refused', async () => {
    const pack = new PackBuilder();
    const tree = pack.tree();
    const tag = pack.object('tag', `object ${tree}\ntype tree\ntag x\ntagger A <a@b.c> 1 +0000\n\nx\n`).id;
    await expect(zip(pack, tag)).rejects.toMatchObject({ code: 'UNSUPPORTED' });
  });

  describe('with hostile names', () => {
    it.each([
      '..',
      '.',
      '',
      '../x',
      '/etc/passwd',
      'a/../../x',
      '\\x',
      '..\\x',
      'a\\..\\..\\x',
      '.. ',
      '.. .',
      '.git',
      '.GIT',
      '.Git ',
      '.git.',
      '.git . ',
      '.git:stream',
      '.git::$INDEX_ALLOCATION',
      'git~1',
      'GIT~1',
      '.g\u200cit',
      '\ufeff.git',
      'a\\.git',
      '.git\\config',
    ])('refuses "%s" for a file, a link and a directory', async name => {
      for (const mode of ['100644', '120000', '40000', '160000']) {
        const pack = new PackBuilder();
        const blob =
          mode === '40000'
            ? pack.tree(['100644', 'x', pack.object('blob', 'x').id])
            : pack.object('blob', 'x').id;
        await expect(zip(pack, pack.commit([mode, name, blob]))).rejects.toMatchObject({
          code: 'UNSAFE_NAME',
          retryable: false,
        });
        const inner = new PackBuilder();
        const same =
          mode === '40000'
            ? inner.tree(['100644', 'x', inner.object('blob', 'x').id])
            : inner.object('blob', 'x').id;
        await expect(
          zip(inner, inner.commit(['40000', 'dir', inner.tree([mode, name, same])])),
        ).rejects.toMatchObject({ code: 'UNSAFE_NAME' });
      }
    });

    it('keeps unusual names that lead nowhere else as they are', async () => {
      const names = [
        'a\\b',
        'x\\x2dy.swap',
        '.gitignore',
        '.gitmodules',
        '...a',
        '..a',
        'a..',
        'git~10',
        'ab:c',
        ' ',
        '-rf',
        '%2e%2e',
        '~',
        'con',
        'a\tb',
        'caf\xe9',
      ];
      const pack = new PackBuilder();
      const blob = pack.object('blob', 'x').id;
      const { entries } = await zip(
        pack,
        pack.commit(
          ...names.map(name => ['100644', Buffer.from(name, 'latin1'), blob] as [string, Buffer, string]),
        ),
      );
      expect(entries.map(entry => entry.name)).toEqual(names);
    });

    it('refuses the same name twice, and a link where some system has the same name twice', async () => {
      const cases: [string, string, string, string][] = [
        ['100644', 'a', '100644', 'a'],
        ['120000', 'a', '40000', 'a'],
        ['120000', 'A', '40000', 'a'],
        ['40000', 'a', '120000', 'A'],
        ['120000', 'a', '40000', 'a.'],
        ['120000', 'é', '40000', 'e\u0301'],
        ['120000', 'a\u200c', '40000', 'a'],
      ];
      for (const [mode1, name1, mode2, name2] of cases) {
        const pack = new PackBuilder();
        const blob = pack.object('blob', '/tmp').id;
        const tree = pack.tree(['100644', 'x', blob]);
        const of = (mode: string): string => (mode === '40000' ? tree : blob);
        await expect(
          zip(pack, pack.commit([mode1, name1, of(mode1)], [mode2, name2, of(mode2)])),
        ).rejects.toMatchObject({ code: 'UNSAFE_NAME' });
      }
    });

    it('keeps two files apart whose names differ in case only', async () => {
      const pack = new PackBuilder();
      const blob = pack.object('blob', 'x').id;
      expect(
        (await zip(pack, pack.commit(['100644', 'Makefile', blob], ['100644', 'makefile', blob]))).entries,
      ).toHaveLength(2);
    });

    it('refuses a name that leads through a link where a backslash is a slash', async () => {
      const pack = new PackBuilder();
      const blob = pack.object('blob', '/tmp').id;
      await expect(
        zip(pack, pack.commit(['120000', 'a', blob], ['100644', 'a\\x', blob])),
      ).rejects.toMatchObject({ code: 'UNSAFE_NAME' });
      const deep = new PackBuilder();
      const link = deep.object('blob', '/tmp').id;
      await expect(
        zip(deep, deep.commit(['40000', 'd', deep.tree(['120000', 'l', link])], ['100644', 'd\\L\\x', link])),
      ).rejects.toMatchObject({ code: 'UNSAFE_NAME' });
      const named = new PackBuilder();
      const target = named.object('blob', '/tmp').id;
      await expect(zip(named, named.commit(['120000', 'd\\l', target]))).rejects.toMatchObject({
        code: 'UNSAFE_NAME',
      });
    });

    it('takes names that Windows reads differently, and refuses each only where names must be fit for it', async () => {
      const names = ['a:b', 'C:', 'c:evil', '...', 'a.', 'b ', 'c\\d'];
      const all = new PackBuilder();
      const blob = all.object('blob', 'x').id;
      const files = names.map((name): [string, string, string] => ['100644', name, blob]);
      expect((await zip(all, all.commit(...files))).entries).toHaveLength(names.length);
      for (const name of names) {
        const pack = new PackBuilder();
        const commit = pack.commit(['100644', name, pack.object('blob', 'x').id]);
        await expect(zip(pack, commit, {}, { windowsSafeNames: true }), name).rejects.toMatchObject({
          code: 'UNSAFE_NAME',
        });
      }
    });

    it('takes a link beside a file whose name differs by case, as long as it stays inside', async () => {
      const link = async (target: string, ...more: [string, string, string][]): Promise<unknown> => {
        const pack = new PackBuilder();
        const file = pack.object('blob', 'x').id;
        const entries: [string, string, string][] = [
          ['120000', 'README.MD', pack.object('blob', target).id],
          ['100644', 'readme.md', file],
          ...more.map(([mode, name, text]): [string, string, string] => [
            mode,
            name,
            pack.object('blob', text).id,
          ]),
        ];
        return zip(pack, pack.commit(...entries));
      };
      await expect(link('readme.md')).resolves.toBeDefined();
      await expect(link('docs/readme.md')).resolves.toBeDefined();
      for (const target of ['/etc/passwd', '../x', 'a/../../x', 'C:\\x', '\\x', '.git/config']) {
        await expect(link(target), target).rejects.toMatchObject({ code: 'UNSAFE_NAME' });
      }
      await expect(link('zz/passwd', ['120000', 'zz', '/etc'])).rejects.toMatchObject({
        code: 'UNSAFE_NAME',
      });
    });

    it('reads odd modes as git does', async () => {
      const modes = {
        '100640': '0100644',
        '100600': '0100644',
        '100775': '0100755',
        '0100644': '0100644',
        '100000': '0100644',
      };
      const pack = new PackBuilder();
      const blob = pack.object('blob', 'x').id;
      const files = Object.keys(modes).map((mode): [string, string, string] => [mode, `of ${mode}`, blob]);
      const { entries } = await zip(pack, pack.commit(...files));
      expect(
        Object.fromEntries(entries.map(({ name, mode }) => [name.slice(3), mode.padStart(7, '0')])),
      ).toEqual(modes);
    });

    it('refuses trees that cannot be read', async () => {
      const pack = new PackBuilder();
      for (const tree of ['100644 a\0short', 'abc x\0aaaaaaaaaaaaaaaaaaaa']) {
        await expect(zip(pack, pack.commitOf(pack.object('tree', tree).id))).rejects.toMatchObject({
          code: 'CORRUPT_PACK',
        });
      }
    });
  });

  describe('that is small and means much work', () => {
    /** So many copies of so many bytes, from the base's first bytes on. */
    const copies = (baseSize: number, count: number, length: number): Buffer => {
      const head = delta(baseSize, count * length);
      return Buffer.concat([head, Buffer.alloc(count * 2, Buffer.from([0x90, length]))]);
    };
    /** The most memory beyond the beginning's. */
    const mostMemory = async (act: () => Promise<unknown>): Promise<number> => {
      const before = process.memoryUsage().rss;
      let most = 0;
      const watch = setInterval(() => {
        most = Math.max(most, process.memoryUsage().rss - before);
      }, 5);
      try {
        await act();
      } finally {
        clearInterval(watch);
      }
      return most;
    };
    const MIB = 1024 * 1024;
    const BASE = Buffer.alloc(33 * MIB, 'x');
    /** Between two looks at the clock. */
    const INSTRUCTIONS = 65_536;
    const packOf = (length: number, count: number): Buffer => {
      const pack = new PackBuilder();
      const { offset } = pack.object('blob', BASE);
      pack.offsetDelta(offset, copies(BASE.length, count, length));
      return pack.build();
    };
    let looks: MockInstance<Deadline['check']>;
    beforeEach(() => {
      looks = vi.spyOn(Deadline.prototype, 'check');
      return () => looks.mockRestore();
    });

    it.each([
      [1, 16_000_000],
      [3, 2_000_000],
    ])(
      'copies of %i bytes, millions of them, are done without filling anything, and with an eye on the clock',
      async (length, count) => {
        const file = packOf(length, count);
        expect(file.length).toBeLessThan(100_000);
        // Before: out of memory at 1.4 GB for one byte, and minutes past the deadline for three.
        const most = await mostMemory(() => withPack(file, async store => expect(store.count).toBe(2)));
        expect(most).toBeLessThan(400 * MIB);
        expect(looks.mock.calls.length).toBeGreaterThanOrEqual(Math.floor(count / INSTRUCTIONS));
      },
    );

    it('ends in the middle of them, at the first look at the clock after the deadline', async () => {
      const left = 20;
      looks.mockImplementation(() => {
        if (looks.mock.calls.length > left) throw new GitError('TIMEOUT', 'the overall deadline passed');
      });
      await expect(withPack(packOf(1, 16_000_000), async () => undefined)).rejects.toMatchObject({
        code: 'TIMEOUT',
      });
      // Of the 244 looks that all the copies would take.
      expect(looks.mock.calls.length).toBe(left + 1);
    });

    it('a chain of large objects is unpacked once, not from its beginning for each', async () => {
      const size = 13 * MIB;
      const pack = new PackBuilder();
      let { offset } = pack.object('blob', Buffer.alloc(size, 'y'));
      const links = 12;
      for (let n = 1; n <= links; n++) {
        const insert = Buffer.from(`${n}`.padStart(4, '0'));
        offset = pack.offsetDelta(offset, delta(size, size, { insert }, { copy: [4, size - 4] }));
      }
      await withPack(pack.build(), async store => expect(store.count).toBe(links + 1));
      // One for each link; starting from the beginning each time would take 90.
      expect(looks.mock.calls.length).toBeLessThan(3 * links);
    });
  });

  it('whose trees unfold without end is stopped at the limit of entries', async () => {
    const pack = new PackBuilder();
    let tree = pack.tree(['100644', 'x', pack.object('blob', 'x').id]);
    for (let depth = 0; depth < 30; depth++) {
      tree = pack.tree(
        ...'abcdefghij'.split('').map(name => ['40000', name, tree] as [string, string, string]),
      );
    }
    await expect(zip(pack, pack.commitOf(tree), { maxEntries: 20_000 })).rejects.toMatchObject({
      code: 'LIMIT',
    });
  });

  it('whose paths grow without end is stopped at the limit of a path', async () => {
    const pack = new PackBuilder();
    let tree = pack.tree();
    for (let depth = 0; depth < 50; depth++) tree = pack.tree(['40000', 'n'.repeat(100), tree]);
    await expect(zip(pack, pack.commitOf(tree))).rejects.toMatchObject({ code: 'LIMIT' });
  });

  it('whose zip grows over the limit is stopped', async () => {
    const pack = new PackBuilder();
    const blob = pack.object('blob', noise(60_000)).id;
    const files = Array.from(
      { length: 100 },
      (_, i) => ['100644', `f${i}`, blob] as [string, string, string],
    );
    await expect(zip(pack, pack.commit(...files), { maxZipBytes: 1_000_000 })).rejects.toMatchObject({
      code: 'LIMIT',
      message: expect.stringContaining('zip'),
    });
  });
});
