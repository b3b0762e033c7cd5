import { defineConfig } from 'vitest/config';
import react from '@vitejs/plugin-react';

// In development the daemon proxies to this server (`make dev`), so that cookies and the Origin check are the
// same as in a release; the page is then opened on the daemon's port, not on this one.
export default defineConfig({
  plugins: [react()],
  build: {
    target: 'es2022',
    // noVNC has a top-level await and is loaded only when it is needed; keep it and the viewer in chunks of their own.
    chunkSizeWarningLimit: 400,
  },
  server: { port: 5173, strictPort: true, allowedHosts: true },
  test: {
    environment: 'jsdom',
    include: ['src/**/*.test.{ts,tsx}'],
    setupFiles: ['src/test-setup.ts'],
  },
});
