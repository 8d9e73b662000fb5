'use strict';
(() => {
  const root = document.documentElement;
  addEventListener('error', (event) => {
    root.dataset.error = event.message || 'a part of the page did not load';
  }, true);

  // a click on a finding, a keyframe or the timeline shows that moment in the clip's own player
  for (const clip of document.querySelectorAll('article.clip')) {
    const video = clip.querySelector('video');
    if (!video) continue;
    const viewer = clip.querySelector('.viewer');
    const timeline = clip.querySelector('.timeline');
    const playhead = clip.querySelector('.playhead');
    const duration = Number(clip.dataset.duration);
    let used = false;
    let inView = true;

    const place = () => {
      const floats = used && !inView;
      if (floats) viewer.style.minHeight = `${viewer.offsetHeight}px`;
      viewer.classList.toggle('floating', floats);
      if (!floats) viewer.style.minHeight = '';
    };
    const mark = () => {
      clip.dataset.at = video.currentTime.toFixed(3);
      if (!playhead) return;
      playhead.hidden = false;
      playhead.style.left = `${Math.min(100, 100 * video.currentTime / duration)}%`;
      if (!video.paused) requestAnimationFrame(mark);
    };
    const seek = (time) => {
      for (const other of document.querySelectorAll('video')) if (other !== video) other.pause();
      used = true;
      video.preload = 'auto';
      video.currentTime = Math.min(Math.max(time, 0), Math.max(0, duration - 0.001));
      place();
    };
    clip.seek = seek;

    for (const name of ['play', 'seeked', 'timeupdate']) video.addEventListener(name, mark);
    video.addEventListener('play', () => { used = true; });
    clip.querySelector('.dock').addEventListener('click', () => {
      used = false;
      video.pause();
      place();
    });
    new IntersectionObserver((entries) => {
      inView = entries[entries.length - 1].isIntersecting;
      place();
    }, { threshold: 0.2 }).observe(viewer);
    // of many clips only those near the screen are read
    new IntersectionObserver((entries, observer) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      video.preload = 'auto';
      observer.disconnect();
    }, { rootMargin: '1200px 0px' }).observe(viewer);

    clip.addEventListener('click', (event) => {
      const link = event.target.closest('[data-seek]');
      if (!link) return;
      seek(Number(link.dataset.seek));
      if (link.classList.contains('keyframe')) event.preventDefault();
    });
    const scrub = (event) => {
      if (event.target.closest('a, summary, figcaption')) return;
      const box = timeline.getBoundingClientRect();
      seek(duration * (event.clientX - box.left) / box.width);
    };
    if (timeline) {
      timeline.classList.add('scrubs');
      timeline.addEventListener('pointerdown', scrub);
      timeline.addEventListener('pointermove', (event) => { if (event.buttons & 1) scrub(event); });
    }
  }

  // a link to a finding, from the overview or from elsewhere, shows its moment too
  const follow = () => {
    const card = location.hash.startsWith('#f-') && document.getElementById(location.hash.slice(1));
    const link = card && card.querySelector('[data-seek]');
    const clip = card && card.closest('article.clip');
    if (link && clip.seek) clip.seek(Number(link.dataset.seek));
  };
  addEventListener('hashchange', follow);
  follow();

  root.dataset.ready = 'true';
})();
