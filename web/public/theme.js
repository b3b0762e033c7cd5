// Before the first paint: the theme that was chosen on this device (src/ui/theme.ts).
try {
  const theme = localStorage.getItem('vitrine.theme');
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
} catch {
  // Storage is forbidden: the system's choice.
}
