"""What the page's answers say about what a browser may do with them."""

_POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; frame-src 'self'; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_SHARED = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}

PAGE_HEADERS = {
    **_SHARED,
    "Content-Security-Policy": _POLICY,
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=()",
    # A page that was left by signing out must not come back by the browser's button.
    "Cache-Control": "no-store",
}
"""Of pages and what they fetch: everything from here, nothing written into the page, in nobody's frame."""

STATIC_HEADERS = {**_SHARED, "Cache-Control": "public, max-age=31536000, immutable"}
"""Of scripts, styles and pictures of the page itself; their addresses carry their version."""

FILE_HEADERS = {
    **_SHARED,
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; "
    "media-src 'self' data:; sandbox; frame-ancestors 'self'",
    "Cache-Control": "private, no-cache",
}
"""Of what users stored: whatever it is, it has no origin and runs nothing."""

REPORT_HEADERS = {
    **FILE_HEADERS,
    # A plot in a report is a script that stands in it. It runs without an origin: no cookie, no page, no network.
    "Content-Security-Policy": "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'unsafe-inline'; img-src data: blob:; font-src data:; media-src data: blob:; connect-src 'none'; "
    "form-action 'none'; base-uri 'none'; sandbox allow-scripts; frame-ancestors 'self'",
}
"""Of HTML reports in their frame: their own scripts run, apart from everything else."""
