// slices.ts: long work cut into pieces, one in each frame, so that the page answers meanwhile. In order, and all of it.

export class Slices {
  private waiting: (() => void)[] = [];
  private frame = 0;

  /** Works through `all`, `size` at a time. Infinity: at once, unless something waits already. */
  run<T>(size: number, all: T[], work: (some: T[]) => void): void {
    if (!all.length) return;
    if (size === Infinity && !this.waiting.length) {
      work(all);
      return;
    }
    const step = Math.min(size, all.length);
    for (let i = 0; i < all.length; i += step) this.waiting.push(() => work(all.slice(i, i + step)));
    this.frame ||= requestAnimationFrame(this.next);
  }

  private next = (): void => {
    this.waiting.shift()?.();
    this.frame = this.waiting.length ? requestAnimationFrame(this.next) : 0;
  };

  /** Does at once what still waits. */
  drain(): void {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    for (const work of this.waiting.splice(0)) work();
  }

  /** Forgets what still waits. */
  stop(): void {
    cancelAnimationFrame(this.frame);
    this.waiting = [];
  }
}
