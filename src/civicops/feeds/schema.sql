CREATE TABLE feed (
    name TEXT PRIMARY KEY, format TEXT NOT NULL, origin TEXT NOT NULL, date TEXT NOT NULL, date_from TEXT NOT NULL,
    imported_at TEXT NOT NULL, licence TEXT NOT NULL, count INTEGER NOT NULL, sha256 TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE kev (
    cve INTEGER PRIMARY KEY, added TEXT NOT NULL, due TEXT, ransomware INTEGER NOT NULL, name TEXT NOT NULL
);
CREATE TABLE epss (cve INTEGER PRIMARY KEY, score REAL NOT NULL, percentile REAL NOT NULL);
CREATE TABLE ssvc (
    cve INTEGER PRIMARY KEY, cvss REAL, vector TEXT, exploitation TEXT, automatable TEXT, technical_impact TEXT
);
CREATE TABLE life (
    product TEXT NOT NULL, cycle TEXT NOT NULL, released TEXT, eol TEXT, support TEXT, extended TEXT, latest TEXT,
    PRIMARY KEY (product, cycle)
) WITHOUT ROWID;
CREATE TABLE release (
    distribution TEXT NOT NULL, version TEXT NOT NULL, series TEXT NOT NULL, released TEXT, ends TEXT NOT NULL,
    PRIMARY KEY (distribution, version)
) WITHOUT ROWID;
CREATE TABLE support (
    release TEXT NOT NULL, package TEXT NOT NULL, kind TEXT NOT NULL, version TEXT, until TEXT, note TEXT NOT NULL,
    PRIMARY KEY (release, package, kind)
) WITHOUT ROWID;

-- Advisories: texts once, and a narrow table of numbers between them.
CREATE TABLE advisory (id INTEGER PRIMARY KEY, feed TEXT NOT NULL, name TEXT NOT NULL, cves TEXT NOT NULL);
CREATE TABLE package (id INTEGER PRIMARY KEY, feed TEXT NOT NULL, name TEXT NOT NULL);
CREATE TABLE scope (id INTEGER PRIMARY KEY, feed TEXT NOT NULL, distribution TEXT NOT NULL, release TEXT NOT NULL);
CREATE TABLE fix (
    scope INTEGER NOT NULL, package INTEGER NOT NULL, advisory INTEGER NOT NULL,
    introduced TEXT NOT NULL, fixed TEXT NOT NULL, state TEXT NOT NULL,
    PRIMARY KEY (scope, package, advisory, introduced, fixed)
) WITHOUT ROWID;
