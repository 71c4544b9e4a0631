PRAGMA user_version = 4;
PRAGMA application_id = -1150501257;
BEGIN TRANSACTION;
CREATE TABLE merchants (
		id INTEGER PRIMARY KEY,
		hash TEXT NOT NULL UNIQUE);
INSERT INTO merchants VALUES(1,'merchant');
CREATE TABLE runs (
		id INTEGER PRIMARY KEY,
		merchant BIGINT NOT NULL, digest TEXT NOT NULL, settings TEXT NOT NULL, file TEXT NOT NULL,
		started_at BIGINT NOT NULL, finished_at BIGINT NOT NULL DEFAULT 0,
		settled INTEGER NOT NULL DEFAULT 0);
INSERT INTO runs VALUES(1,1,'digest','settings','orders.csv',1767225500000000,1767225700000000,0);
INSERT INTO runs VALUES(2,1,'another','settings','more.csv',1767312000000000,0,0);
CREATE TABLE entries (
		run BIGINT NOT NULL, line BIGINT NOT NULL, merchant BIGINT NOT NULL, tier TEXT NOT NULL DEFAULT '',
		merchant_uid TEXT NOT NULL, live INTEGER NOT NULL, state TEXT NOT NULL,
		status TEXT NOT NULL, error_code TEXT NOT NULL, error_message TEXT NOT NULL, action TEXT NOT NULL,
		amount BIGINT NOT NULL, due BIGINT NOT NULL, bank TEXT NOT NULL, attempts BIGINT NOT NULL, intent_at BIGINT NOT NULL,
		imp_uid TEXT NOT NULL DEFAULT '', vbank_code TEXT NOT NULL DEFAULT '', vbank_name TEXT NOT NULL DEFAULT '',
		vbank_num TEXT NOT NULL DEFAULT '', vbank_holder TEXT NOT NULL DEFAULT '', vbank_due BIGINT NOT NULL DEFAULT 0,
		pg_provider TEXT NOT NULL DEFAULT '', issued_at BIGINT NOT NULL DEFAULT 0,
		now_amount BIGINT NOT NULL DEFAULT 0, now_due BIGINT NOT NULL DEFAULT 0, pg_id TEXT NOT NULL DEFAULT '', checksum BIGINT NOT NULL DEFAULT 0,
		PRIMARY KEY (run, line)) WITHOUT ROWID;
INSERT INTO entries VALUES(1,2,1,'','A-1',1,'issued','issued','','','issue',2000,1798729199,'004',1,1767225600000002,'imp_A-1','004','국민은행','00123456789012','한빛상사',1798729199,'nice',1767225601,0,0,'MID1234567',-1030774948110525105);
INSERT INTO entries VALUES(1,3,1,'','A-2',0,'revoked','revoked','','','issue',3000,1798729199,'004',1,1767225600000003,'imp_A-2','004','국민은행','00123456789012','한빛상사',1798729199,'nice',1767225601,0,0,'MID1234567',-2011255884234563960);
INSERT INTO entries VALUES(1,4,1,'','A-3',1,'intent','unknown','','','issue',4000,1798729199,'004',1,1767225600000004,'','','','','',0,'',0,0,0,'',4414886017126239981);
INSERT INTO entries VALUES(1,5,1,'','A-4',1,'change','issued','','','issue',5000,1798729199,'004',1,1767225600000005,'imp_A-4','004','국민은행','00123456789012','한빛상사',1798729199,'nice',1767225601,4321,1798729200,'MID1234567',4707588255230799245);
INSERT INTO entries VALUES(1,6,1,'','',0,'','invalid','AMOUNT_NEGATIVE;DUE_PAST',replace('금액이 음수입니다; it''s "past"\nreally','\n',char(10)),'issue',6000,1798729199,'004',0,1767225600000006,'','','','','',0,'',0,0,0,'',-3496227382439582208);
INSERT INTO entries VALUES(2,2,1,'','A-2',1,'issued','issued','','','issue',2000,1798729199,'004',1,1767225600000002,'imp_A-2b','004','국민은행','00123456789012','한빛상사',1798729199,'nice',1767225601,0,0,'MID1234567',-4249131774840856573);
INSERT INTO entries VALUES(2,3,1,'','A-1',0,'','already_issued','','','issue',3000,1798729199,'004',0,1767225600000003,'imp_A-1','','','00123456789012','',0,'',0,0,0,'',-3409387777954119712);
CREATE TABLE jobs (
		id INTEGER PRIMARY KEY,
		merchant TEXT NOT NULL, api TEXT NOT NULL, whose TEXT NOT NULL, language TEXT NOT NULL,
		file TEXT NOT NULL, digest TEXT NOT NULL, settings TEXT NOT NULL, settings_digest TEXT NOT NULL,
		day TEXT NOT NULL, again BIGINT NOT NULL, submitter TEXT NOT NULL,
		submitted_at BIGINT NOT NULL, started_at BIGINT NOT NULL DEFAULT 0, ended_at BIGINT NOT NULL DEFAULT 0,
		state TEXT NOT NULL, turn BIGINT NOT NULL DEFAULT 0, seen_at BIGINT NOT NULL DEFAULT 0,
		lacking INTEGER NOT NULL DEFAULT 0, cancel INTEGER NOT NULL DEFAULT 0,
		run BIGINT NOT NULL DEFAULT 0, exit_status BIGINT NOT NULL DEFAULT 0, reason TEXT NOT NULL DEFAULT '',
		error TEXT NOT NULL DEFAULT '', summary TEXT NOT NULL DEFAULT '',
		row_count BIGINT NOT NULL DEFAULT 0, done BIGINT NOT NULL DEFAULT 0, not_done BIGINT NOT NULL DEFAULT 0,
		waiting BIGINT NOT NULL DEFAULT 0, won BIGINT NOT NULL DEFAULT 0, sent BIGINT NOT NULL DEFAULT 0, refused BIGINT NOT NULL DEFAULT 0,
		fetched_at BIGINT NOT NULL DEFAULT 0);
INSERT INTO jobs VALUES(1,'hanbit','http://127.0.0.1:1','','ko','orders.csv','digest','{"Set":"가"}','key','2026-11-05',0,'who@host',1767225600000002,0,0,'queued',0,0,0,0,0,0,'','','',0,0,0,0,0,0,0,0);
CREATE TABLE job_files (
		job BIGINT NOT NULL, kind TEXT NOT NULL, piece BIGINT NOT NULL, name TEXT NOT NULL, bytes BLOB NOT NULL,
		PRIMARY KEY (job, kind, piece));
INSERT INTO job_files VALUES(1,'input',0,'orders.csv',X'1f8b08000000000004ff000600f9ff6f7264657273010000ffffeefd2fe506000000');
CREATE INDEX runs_digest ON runs (merchant, digest);
CREATE INDEX runs_unsettled ON runs (merchant) WHERE settled = 0;
CREATE UNIQUE INDEX entries_live ON entries (merchant, tier, merchant_uid) WHERE live = 1;
CREATE UNIQUE INDEX jobs_same ON jobs (day, merchant, api, digest, settings_digest, again) WHERE state <> 'receiving';
CREATE INDEX jobs_open ON jobs (merchant, api) WHERE state IN ('queued', 'running');
COMMIT;
