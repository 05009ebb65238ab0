// Which frame it is: the video tells where there is one, else a clock of our own.

class Film {
  constructor(recording, video, shown) {
    Object.assign(this, { recording, video, shown, frame: 0, playing: false, speed: 1, loop: true, target: null, told: -Infinity });
    this.hasVideo = false;
  }

  /** Let the video lead from now on. Settles when its first picture is there, or it cannot be played. */
  load(blob) {
    return new Promise((done) => {
      const { video } = this;
      video.addEventListener("loadeddata", () => {
        this.hasVideo = true;
        video.playbackRate = this.speed;
        this.seek(this.frame);
        if (this.playing) this.start();
        done(true);
      }, { once: true });
      video.addEventListener("error", () => done(false), { once: true });
      video.addEventListener("seeked", () => this.settle());
      video.addEventListener("ended", () => this.ended());
      video.src = URL.createObjectURL(blob);
      if (video.requestVideoFrameCallback) {
        const told = (_, about) => {
          this.told = performance.now();
          if (this.playing && this.target === null) this.at(about.mediaTime);
          video.requestVideoFrameCallback(told);
        };
        video.requestVideoFrameCallback(told);
      }
    });
  }

  get last() {
    return this.recording.count - 1;
  }

  /** The frame that is shown at a time: the last one that has begun. */
  frameAt(seconds) {
    const { times } = this.recording;
    let low = 0, high = this.last;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (times[middle] <= seconds + 5e-4) low = middle; // stamps are rounded on their way
      else high = middle - 1;
    }
    return low;
  }

  at(seconds) {
    const frame = this.frameAt(seconds);
    if (frame === this.frame) return;
    this.frame = frame;
    this.shown(frame);
  }

  /** A time inside a frame, where no rounding leads to its neighbour. */
  inside(frame) {
    const { times } = this.recording, next = frame < this.last ? times[frame + 1] : times[frame] + this.recording.step;
    return times[frame] + Math.min(0.3 * (next - times[frame]), 0.01);
  }

  seek(frame) {
    this.frame = Math.min(Math.max(Math.round(frame), 0), this.last);
    this.seconds = this.recording.times[this.frame];
    if (this.hasVideo) {
      if (this.target === null) this.video.currentTime = this.inside(this.frame);
      this.target = this.frame;
    }
    this.shown(this.frame);
  }

  /** A seek is over; another place may have been asked for in between. */
  settle() {
    const asked = this.target;
    this.target = null;
    if (asked !== null && Math.abs(this.video.currentTime - this.inside(asked)) > 1e-3) {
      this.target = asked;
      this.video.currentTime = this.inside(asked);
    }
  }

  start() {
    if (this.frame >= this.last) this.seek(0);
    this.playing = true;
    this.seconds = this.recording.times[this.frame];
    if (this.hasVideo) this.video.play().catch(() => this.stop());
    this.before = null;
    cancelAnimationFrame(this.tick);
    const tick = (now) => {
      if (!this.playing) return;
      if (!this.hasVideo) this.advance(now);
      // Where no picture is drawn, or the browser does not tell of them, the video's clock has to do.
      else if (this.target === null && now - this.told > 100 + (3000 * this.recording.step) / this.speed) this.at(this.video.currentTime);
      this.tick = requestAnimationFrame(tick);
    };
    this.tick = requestAnimationFrame(tick);
    this.shown(this.frame);
  }

  advance(now) {
    if (this.before !== null) this.seconds += (Math.min(now - this.before, 250) / 1000) * this.speed;
    this.before = now;
    if (this.seconds >= this.recording.times[this.last] + this.recording.step) this.ended();
    else this.at(this.seconds);
  }

  ended() {
    if (!this.playing) return;
    if (!this.loop) {
      this.stop();
      this.seek(this.last);
      return;
    }
    this.seek(0);
    if (this.hasVideo) this.video.play().catch(() => this.stop());
  }

  stop() {
    this.playing = false;
    if (this.hasVideo) {
      this.video.pause();
      this.seek(this.frame); // the picture of this very frame
    } else this.shown(this.frame);
  }

  setSpeed(speed) {
    this.speed = speed;
    if (this.hasVideo) this.video.playbackRate = speed;
  }
}
