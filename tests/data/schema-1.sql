BEGIN TRANSACTION;
CREATE TABLE bins (
	run INTEGER NOT NULL, 
	lane INTEGER NOT NULL, 
	width INTEGER NOT NULL, 
	bin BIGINT NOT NULL, 
	count INTEGER NOT NULL, 
	step DOUBLE, 
	epoch DOUBLE, 
	gradients DOUBLE, 
	seconds DOUBLE, 
	loss DOUBLE, 
	grad_norm DOUBLE, 
	radius DOUBLE, 
	ascent_gap DOUBLE, 
	PRIMARY KEY (run, lane, width, bin), 
	FOREIGN KEY(run) REFERENCES runs ("key") ON DELETE CASCADE
)
 WITHOUT ROWID

;
INSERT INTO "bins" VALUES(1,0,8,0,8,4.5,4.49999999999999955591e-01,9.0,4.50000000000000052735e-02,3.39732142857142815906e-01,1.0,NULL,NULL);
INSERT INTO "bins" VALUES(1,0,8,1,4,10.5,1.05,21.0,0.105,9.63383838383838342345e-02,1.0,NULL,NULL);
INSERT INTO "bins" VALUES(1,0,64,0,12,6.5,0.65,13.0,0.065,2.58600889850889859022e-01,1.0,NULL,NULL);
INSERT INTO "bins" VALUES(1,0,512,0,12,6.5,0.65,13.0,0.065,2.58600889850889859022e-01,1.0,NULL,NULL);
INSERT INTO "bins" VALUES(1,0,4096,0,12,6.5,0.65,13.0,0.065,2.58600889850889859022e-01,1.0,NULL,NULL);
INSERT INTO "bins" VALUES(1,1,8,0,8,4.5,4.49999999999999955591e-01,9.0,4.50000000000000052735e-02,3.39732142857142815906e-01,1.0,9.99999999999999916733e-02,1.99999999999999983346e-01);
INSERT INTO "bins" VALUES(1,1,8,1,4,10.5,1.05,21.0,0.105,9.63383838383838342345e-02,1.0,0.1,0.2);
INSERT INTO "bins" VALUES(1,1,64,0,12,6.5,0.65,13.0,0.065,2.58600889850889859022e-01,1.0,9.99999999999999916733e-02,1.99999999999999983346e-01);
INSERT INTO "bins" VALUES(1,1,512,0,12,6.5,0.65,13.0,0.065,2.58600889850889859022e-01,1.0,9.99999999999999916733e-02,1.99999999999999983346e-01);
INSERT INTO "bins" VALUES(1,1,4096,0,12,6.5,0.65,13.0,0.065,2.58600889850889859022e-01,1.0,9.99999999999999916733e-02,1.99999999999999983346e-01);
INSERT INTO "bins" VALUES(2,0,8,0,8,4.5,4.49999999999999955591e-01,9.0,4.50000000000000052735e-02,3.39732142857142815906e-01,1.0,NULL,NULL);
INSERT INTO "bins" VALUES(2,0,8,1,4,10.5,1.05,21.0,0.105,NULL,1.0,NULL,NULL);
INSERT INTO "bins" VALUES(2,0,64,0,12,6.5,0.65,13.0,0.065,NULL,1.0,NULL,NULL);
INSERT INTO "bins" VALUES(2,0,512,0,12,6.5,0.65,13.0,0.065,NULL,1.0,NULL,NULL);
INSERT INTO "bins" VALUES(2,0,4096,0,12,6.5,0.65,13.0,0.065,NULL,1.0,NULL,NULL);
INSERT INTO "bins" VALUES(2,1,8,0,8,4.5,4.49999999999999955591e-01,9.0,4.50000000000000052735e-02,3.39732142857142815906e-01,1.0,9.99999999999999916733e-02,1.99999999999999983346e-01);
INSERT INTO "bins" VALUES(2,1,8,1,4,10.5,1.05,21.0,0.105,NULL,1.0,0.1,0.2);
INSERT INTO "bins" VALUES(2,1,64,0,12,6.5,0.65,13.0,0.065,NULL,1.0,9.99999999999999916733e-02,1.99999999999999983346e-01);
INSERT INTO "bins" VALUES(2,1,512,0,12,6.5,0.65,13.0,0.065,NULL,1.0,9.99999999999999916733e-02,1.99999999999999983346e-01);
INSERT INTO "bins" VALUES(2,1,4096,0,12,6.5,0.65,13.0,0.065,NULL,1.0,9.99999999999999916733e-02,1.99999999999999983346e-01);
INSERT INTO "bins" VALUES(3,0,8,0,3,2.0,2.00000000000000038857e-01,4.0,0.02,0.611111111111111,1.0,NULL,NULL);
INSERT INTO "bins" VALUES(3,0,64,0,3,2.0,2.00000000000000038857e-01,4.0,0.02,0.611111111111111,1.0,NULL,NULL);
INSERT INTO "bins" VALUES(3,0,512,0,3,2.0,2.00000000000000038857e-01,4.0,0.02,0.611111111111111,1.0,NULL,NULL);
INSERT INTO "bins" VALUES(3,0,4096,0,3,2.0,2.00000000000000038857e-01,4.0,0.02,0.611111111111111,1.0,NULL,NULL);
INSERT INTO "bins" VALUES(3,1,8,0,3,2.0,2.00000000000000038857e-01,4.0,0.02,0.611111111111111,1.0,1.00000000000000019428e-01,2.00000000000000038857e-01);
INSERT INTO "bins" VALUES(3,1,64,0,3,2.0,2.00000000000000038857e-01,4.0,0.02,0.611111111111111,1.0,1.00000000000000019428e-01,2.00000000000000038857e-01);
INSERT INTO "bins" VALUES(3,1,512,0,3,2.0,2.00000000000000038857e-01,4.0,0.02,0.611111111111111,1.0,1.00000000000000019428e-01,2.00000000000000038857e-01);
INSERT INTO "bins" VALUES(3,1,4096,0,3,2.0,2.00000000000000038857e-01,4.0,0.02,0.611111111111111,1.0,1.00000000000000019428e-01,2.00000000000000038857e-01);
INSERT INTO "bins" VALUES(4,0,8,0,4,2.5,0.25,5.0,0.025,5.20833333333333259318e-01,1.0,NULL,NULL);
INSERT INTO "bins" VALUES(4,0,64,0,4,2.5,0.25,5.0,0.025,5.20833333333333259318e-01,1.0,NULL,NULL);
INSERT INTO "bins" VALUES(4,0,512,0,4,2.5,0.25,5.0,0.025,5.20833333333333259318e-01,1.0,NULL,NULL);
INSERT INTO "bins" VALUES(4,0,4096,0,4,2.5,0.25,5.0,0.025,5.20833333333333259318e-01,1.0,NULL,NULL);
INSERT INTO "bins" VALUES(4,1,8,0,4,2.5,0.25,5.0,0.025,5.20833333333333259318e-01,1.0,0.1,0.2);
INSERT INTO "bins" VALUES(4,1,64,0,4,2.5,0.25,5.0,0.025,5.20833333333333259318e-01,1.0,0.1,0.2);
INSERT INTO "bins" VALUES(4,1,512,0,4,2.5,0.25,5.0,0.025,5.20833333333333259318e-01,1.0,0.1,0.2);
INSERT INTO "bins" VALUES(4,1,4096,0,4,2.5,0.25,5.0,0.025,5.20833333333333259318e-01,1.0,0.1,0.2);
INSERT INTO "bins" VALUES(5,0,8,0,2,1.5,1.50000000000000022204e-01,3.0,0.015,0.75,1.0,NULL,NULL);
INSERT INTO "bins" VALUES(5,0,64,0,2,1.5,1.50000000000000022204e-01,3.0,0.015,0.75,1.0,NULL,NULL);
INSERT INTO "bins" VALUES(5,0,512,0,2,1.5,1.50000000000000022204e-01,3.0,0.015,0.75,1.0,NULL,NULL);
INSERT INTO "bins" VALUES(5,0,4096,0,2,1.5,1.50000000000000022204e-01,3.0,0.015,0.75,1.0,NULL,NULL);
INSERT INTO "bins" VALUES(5,1,8,0,2,1.5,1.50000000000000022204e-01,3.0,0.015,0.75,1.0,0.1,0.2);
INSERT INTO "bins" VALUES(5,1,64,0,2,1.5,1.50000000000000022204e-01,3.0,0.015,0.75,1.0,0.1,0.2);
INSERT INTO "bins" VALUES(5,1,512,0,2,1.5,1.50000000000000022204e-01,3.0,0.015,0.75,1.0,0.1,0.2);
INSERT INTO "bins" VALUES(5,1,4096,0,2,1.5,1.50000000000000022204e-01,3.0,0.015,0.75,1.0,0.1,0.2);
INSERT INTO "bins" VALUES(7,0,8,0,2,1.5,1.50000000000000022204e-01,3.0,0.015,0.75,1.0,NULL,NULL);
INSERT INTO "bins" VALUES(7,0,64,0,2,1.5,1.50000000000000022204e-01,3.0,0.015,0.75,1.0,NULL,NULL);
INSERT INTO "bins" VALUES(7,0,512,0,2,1.5,1.50000000000000022204e-01,3.0,0.015,0.75,1.0,NULL,NULL);
INSERT INTO "bins" VALUES(7,0,4096,0,2,1.5,1.50000000000000022204e-01,3.0,0.015,0.75,1.0,NULL,NULL);
INSERT INTO "bins" VALUES(7,1,8,0,2,1.5,1.50000000000000022204e-01,3.0,0.015,0.75,1.0,0.1,0.2);
INSERT INTO "bins" VALUES(7,1,64,0,2,1.5,1.50000000000000022204e-01,3.0,0.015,0.75,1.0,0.1,0.2);
INSERT INTO "bins" VALUES(7,1,512,0,2,1.5,1.50000000000000022204e-01,3.0,0.015,0.75,1.0,0.1,0.2);
INSERT INTO "bins" VALUES(7,1,4096,0,2,1.5,1.50000000000000022204e-01,3.0,0.015,0.75,1.0,0.1,0.2);
CREATE TABLE epochs (
	run INTEGER NOT NULL, 
	lane INTEGER NOT NULL, 
	step BIGINT NOT NULL, 
	final BOOLEAN NOT NULL, 
	epoch DOUBLE NOT NULL, 
	gradients BIGINT NOT NULL, 
	seconds DOUBLE NOT NULL, 
	lr DOUBLE, 
	train_loss DOUBLE, 
	test_loss DOUBLE, 
	test_accuracy DOUBLE, 
	test_size INTEGER NOT NULL, 
	PRIMARY KEY (run, lane, step, final), 
	FOREIGN KEY(run) REFERENCES runs ("key") ON DELETE CASCADE
)
 WITHOUT ROWID

;
INSERT INTO "epochs" VALUES(1,0,10,0,1.0,20,0.1,0.05,1.0,1.1,0.5,100);
INSERT INTO "epochs" VALUES(1,1,10,0,1.0,20,0.1,0.05,1.0,1.1,0.5,100);
INSERT INTO "epochs" VALUES(2,0,10,0,1.0,20,0.1,0.05,1.0,1.1,0.5,100);
INSERT INTO "epochs" VALUES(2,1,10,0,1.0,20,0.1,0.05,1.0,1.1,0.5,100);
INSERT INTO "epochs" VALUES(3,0,10,0,1.0,20,0.1,0.05,1.0,1.1,0.5,100);
INSERT INTO "epochs" VALUES(3,1,10,0,1.0,20,0.1,0.05,1.0,1.1,0.5,100);
INSERT INTO "epochs" VALUES(4,0,10,0,1.0,20,0.1,0.05,1.0,1.1,0.5,100);
INSERT INTO "epochs" VALUES(4,1,10,0,1.0,20,0.1,0.05,1.0,1.1,0.5,100);
INSERT INTO "epochs" VALUES(5,0,10,0,1.0,20,0.1,0.05,1.0,1.1,0.5,100);
INSERT INTO "epochs" VALUES(5,1,10,0,1.0,20,0.1,0.05,1.0,1.1,0.5,100);
INSERT INTO "epochs" VALUES(7,0,10,0,1.0,20,0.1,0.05,1.0,1.1,0.5,100);
INSERT INTO "epochs" VALUES(7,1,10,0,1.0,20,0.1,0.05,1.0,1.1,0.5,100);
CREATE TABLE lanes (
	run INTEGER NOT NULL, 
	lane INTEGER NOT NULL, 
	name VARCHAR(200) NOT NULL, 
	method VARCHAR(40) NOT NULL, 
	state VARCHAR(20) NOT NULL, 
	total_steps BIGINT, 
	last_step BIGINT NOT NULL, 
	gradients BIGINT NOT NULL, 
	seconds DOUBLE NOT NULL, 
	refreshes INTEGER NOT NULL, 
	refresh_ms DOUBLE NOT NULL, 
	PRIMARY KEY (run, lane), 
	UNIQUE (run, name), 
	FOREIGN KEY(run) REFERENCES runs ("key") ON DELETE CASCADE
)
 WITHOUT ROWID

;
INSERT INTO "lanes" VALUES(1,0,'sgd','sgd','finished',20,12,24,0.12,0,0.0);
INSERT INTO "lanes" VALUES(1,1,'ssam-f','ssam-f','finished',20,12,24,0.12,2,80.0);
INSERT INTO "lanes" VALUES(2,0,'sgd','sgd','diverged',20,12,24,0.12,0,0.0);
INSERT INTO "lanes" VALUES(2,1,'ssam-f','ssam-f','running',20,12,24,0.12,2,80.0);
INSERT INTO "lanes" VALUES(3,0,'sgd','sgd','running',20,3,6,0.03,0,0.0);
INSERT INTO "lanes" VALUES(3,1,'ssam-f','ssam-f','running',20,3,6,0.03,1,40.0);
INSERT INTO "lanes" VALUES(4,0,'sgd','sgd','running',20,4,8,0.04,0,0.0);
INSERT INTO "lanes" VALUES(4,1,'ssam-f','ssam-f','running',20,4,8,0.04,1,40.0);
INSERT INTO "lanes" VALUES(5,0,'sgd','sgd','running',20,2,4,0.02,0,0.0);
INSERT INTO "lanes" VALUES(5,1,'ssam-f','ssam-f','running',20,2,4,0.02,1,40.0);
INSERT INTO "lanes" VALUES(7,0,'sgd','sgd','running',20,2,4,0.02,0,0.0);
INSERT INTO "lanes" VALUES(7,1,'sam','sam','running',20,2,4,0.02,1,40.0);
CREATE TABLE masks (
	run INTEGER NOT NULL, 
	lane INTEGER NOT NULL, 
	step BIGINT NOT NULL, 
	epoch DOUBLE NOT NULL, 
	density DOUBLE NOT NULL, 
	changed DOUBLE, 
	overlap DOUBLE, 
	densities TEXT NOT NULL, 
	PRIMARY KEY (run, lane, step), 
	FOREIGN KEY(run) REFERENCES runs ("key") ON DELETE CASCADE
)
 WITHOUT ROWID

;
INSERT INTO "masks" VALUES(1,1,1,0.1,0.2,NULL,NULL,'{"conv.weight": 0.2}');
INSERT INTO "masks" VALUES(1,1,11,1.1,0.2,0.25,0.6,'{"conv.weight": 0.2}');
INSERT INTO "masks" VALUES(2,1,1,0.1,0.2,NULL,NULL,'{"conv.weight": 0.2}');
INSERT INTO "masks" VALUES(2,1,11,1.1,0.2,0.25,0.6,'{"conv.weight": 0.2}');
INSERT INTO "masks" VALUES(3,1,1,0.1,0.2,NULL,NULL,'{"conv.weight": 0.2}');
INSERT INTO "masks" VALUES(3,1,11,1.1,0.2,0.25,0.6,'{"conv.weight": 0.2}');
INSERT INTO "masks" VALUES(4,1,1,0.1,0.2,NULL,NULL,'{"conv.weight": 0.2}');
INSERT INTO "masks" VALUES(4,1,11,1.1,0.2,0.25,0.6,'{"conv.weight": 0.2}');
INSERT INTO "masks" VALUES(5,1,1,0.1,0.2,NULL,NULL,'{"conv.weight": 0.2}');
INSERT INTO "masks" VALUES(5,1,11,1.1,0.2,0.25,0.6,'{"conv.weight": 0.2}');
CREATE TABLE meta (
	schema_version INTEGER NOT NULL
);
INSERT INTO "meta" VALUES(1);
CREATE TABLE runs (
	"key" INTEGER NOT NULL, 
	id VARCHAR(40) NOT NULL, 
	request_id VARCHAR(200) NOT NULL, 
	owner VARCHAR(200) NOT NULL, 
	spec TEXT NOT NULL, 
	state VARCHAR(20) NOT NULL, 
	want VARCHAR(20) NOT NULL, 
	created DOUBLE NOT NULL, 
	started DOUBLE, 
	ended DOUBLE, 
	place TEXT, 
	heartbeat DOUBLE, 
	pid BIGINT, 
	pid_started DOUBLE, 
	message TEXT NOT NULL, 
	started_info TEXT, 
	result TEXT, 
	shared BOOLEAN NOT NULL, 
	trained DOUBLE NOT NULL, 
	training_since DOUBLE, 
	PRIMARY KEY ("key"), 
	UNIQUE (id), 
	UNIQUE (request_id)
);
INSERT INTO "runs" VALUES(1,'race-number-01-------','request finished','ada','{"dataset":"fashion-mnist-10k","data":null,"model":"cnn8","lanes":[{"method":"sgd","rho":null,"sparsity":null,"norm":null,"region":"all","granularity":"weight","score":null,"direction":"gradient","ascent_batch":null,"ascent_interval":1},{"method":"ssam-f","rho":null,"sparsity":0.8,"norm":null,"region":"all","granularity":"weight","score":null,"direction":"gradient","ascent_batch":null,"ascent_interval":1}],"sparsity":0.5,"rho":0.1,"epochs":5,"seed":3,"batch_size":128,"lr":0.1,"momentum":0.9,"weight_decay":0.0005,"train_size":null,"label_noise":0.0,"augment":"none","mask_interval":1,"fisher_samples":128,"fisher_batch":1,"norm":"full","clock":"epochs","seconds":30.0,"image_size":null,"device":"auto"}','finished','run',1790000000.5,1790000001.0,1790000002.5,'classroom:/home/lab',1790000001.5,4000008,1790000000.0,'','{"device": "cpu", "device_name": "Made-up CPU", "threads": 1, "precision": "float32", "parameters": 12, "train_size": 100, "test_size": 100, "classes": ["a", "b"], "steps_per_epoch": 10, "lanes": [{"name": "sgd", "method": "sgd", "sparsity": 0.5, "rho": 0.1, "total_steps": 20, "plan": "", "predicted_ratio": null, "exact": true}, {"name": "ssam-f", "method": "ssam-f", "sparsity": 0.5, "rho": 0.1, "total_steps": 20, "plan": "", "predicted_ratio": null, "exact": true}], "layers": [{"name": "conv.weight", "stage": "conv", "shape": [2, 6]}], "stages": [], "warnings": []}','{"device": "cpu", "lanes": [{"name": "sgd", "method": "sgd", "sparsity": 0.5, "rho": 0.1, "test_accuracy": 0.5, "test_loss": null, "step_ms_median": 7.0, "step_ratio_to_sgd": 1.0, "seconds": 1.5, "diverged": false}, {"name": "ssam-f", "method": "ssam-f", "sparsity": 0.5, "rho": 0.1, "test_accuracy": 0.5, "test_loss": null, "step_ms_median": 7.0, "step_ratio_to_sgd": 1.0, "seconds": 1.5, "diverged": false}]}',0,0.5,NULL);
INSERT INTO "runs" VALUES(2,'race-number-02-------','request failed','grace','{"dataset":"fashion-mnist-10k","data":null,"model":"cnn8","lanes":[{"method":"sgd","rho":null,"sparsity":null,"norm":null,"region":"all","granularity":"weight","score":null,"direction":"gradient","ascent_batch":null,"ascent_interval":1},{"method":"ssam-f","rho":null,"sparsity":0.8,"norm":null,"region":"all","granularity":"weight","score":null,"direction":"gradient","ascent_batch":null,"ascent_interval":1}],"sparsity":0.5,"rho":0.1,"epochs":5,"seed":3,"batch_size":128,"lr":0.1,"momentum":0.9,"weight_decay":0.0005,"train_size":null,"label_noise":0.0,"augment":"none","mask_interval":1,"fisher_samples":128,"fisher_batch":1,"norm":"full","clock":"epochs","seconds":30.0,"image_size":null,"device":"auto"}','failed','run',1790000003.0,1790000003.5,1790000005.0,'classroom:/home/lab',1790000004.0,4000006,1790000000.0,'RuntimeError: out of memory','{"device": "cpu", "device_name": "Made-up CPU", "threads": 1, "precision": "float32", "parameters": 12, "train_size": 100, "test_size": 100, "classes": ["a", "b"], "steps_per_epoch": 10, "lanes": [{"name": "sgd", "method": "sgd", "sparsity": 0.5, "rho": 0.1, "total_steps": 20, "plan": "", "predicted_ratio": null, "exact": true}, {"name": "ssam-f", "method": "ssam-f", "sparsity": 0.5, "rho": 0.1, "total_steps": 20, "plan": "", "predicted_ratio": null, "exact": true}], "layers": [{"name": "conv.weight", "stage": "conv", "shape": [2, 6]}], "stages": [], "warnings": []}',NULL,0,0.5,NULL);
INSERT INTO "runs" VALUES(3,'race-number-03-------','request stopped','ada','{"dataset":"fashion-mnist-10k","data":null,"model":"cnn8","lanes":[{"method":"sgd","rho":null,"sparsity":null,"norm":null,"region":"all","granularity":"weight","score":null,"direction":"gradient","ascent_batch":null,"ascent_interval":1},{"method":"ssam-f","rho":null,"sparsity":0.8,"norm":null,"region":"all","granularity":"weight","score":null,"direction":"gradient","ascent_batch":null,"ascent_interval":1}],"sparsity":0.5,"rho":0.1,"epochs":5,"seed":3,"batch_size":128,"lr":0.1,"momentum":0.9,"weight_decay":0.0005,"train_size":null,"label_noise":0.0,"augment":"none","mask_interval":1,"fisher_samples":128,"fisher_batch":1,"norm":"full","clock":"epochs","seconds":30.0,"image_size":null,"device":"auto"}','stopped','stop',1790000005.5,1790000006.0,1790000008.0,'classroom:/home/lab',1790000006.5,4000007,1790000000.0,'','{"device": "cpu", "device_name": "Made-up CPU", "threads": 1, "precision": "float32", "parameters": 12, "train_size": 100, "test_size": 100, "classes": ["a", "b"], "steps_per_epoch": 10, "lanes": [{"name": "sgd", "method": "sgd", "sparsity": 0.5, "rho": 0.1, "total_steps": 20, "plan": "", "predicted_ratio": null, "exact": true}, {"name": "ssam-f", "method": "ssam-f", "sparsity": 0.5, "rho": 0.1, "total_steps": 20, "plan": "", "predicted_ratio": null, "exact": true}], "layers": [{"name": "conv.weight", "stage": "conv", "shape": [2, 6]}], "stages": [], "warnings": []}',NULL,0,1.0,NULL);
INSERT INTO "runs" VALUES(4,'race-number-04-------','request paused','grace','{"dataset":"fashion-mnist-10k","data":null,"model":"cnn8","lanes":[{"method":"sgd","rho":null,"sparsity":null,"norm":null,"region":"all","granularity":"weight","score":null,"direction":"gradient","ascent_batch":null,"ascent_interval":1},{"method":"ssam-f","rho":null,"sparsity":0.8,"norm":null,"region":"all","granularity":"weight","score":null,"direction":"gradient","ascent_batch":null,"ascent_interval":1}],"sparsity":0.5,"rho":0.1,"epochs":5,"seed":3,"batch_size":128,"lr":0.1,"momentum":0.9,"weight_decay":0.0005,"train_size":null,"label_noise":0.0,"augment":"none","mask_interval":1,"fisher_samples":128,"fisher_batch":1,"norm":"full","clock":"epochs","seconds":30.0,"image_size":null,"device":"auto"}','paused','pause',1790000008.5,1790000009.0,NULL,'classroom:/home/lab',1790000010.5,4000006,1790000000.0,'','{"device": "cpu", "device_name": "Made-up CPU", "threads": 1, "precision": "float32", "parameters": 12, "train_size": 100, "test_size": 100, "classes": ["a", "b"], "steps_per_epoch": 10, "lanes": [{"name": "sgd", "method": "sgd", "sparsity": 0.5, "rho": 0.1, "total_steps": 20, "plan": "", "predicted_ratio": null, "exact": true}, {"name": "ssam-f", "method": "ssam-f", "sparsity": 0.5, "rho": 0.1, "total_steps": 20, "plan": "", "predicted_ratio": null, "exact": true}], "layers": [{"name": "conv.weight", "stage": "conv", "shape": [2, 6]}], "stages": [], "warnings": []}',NULL,0,1.0,NULL);
INSERT INTO "runs" VALUES(5,'race-number-05-------','request interrupted','','{"dataset":"fashion-mnist-10k","data":null,"model":"cnn8","lanes":[{"method":"sgd","rho":null,"sparsity":null,"norm":null,"region":"all","granularity":"weight","score":null,"direction":"gradient","ascent_batch":null,"ascent_interval":1},{"method":"ssam-f","rho":null,"sparsity":0.8,"norm":null,"region":"all","granularity":"weight","score":null,"direction":"gradient","ascent_batch":null,"ascent_interval":1}],"sparsity":0.5,"rho":0.1,"epochs":5,"seed":3,"batch_size":128,"lr":0.1,"momentum":0.9,"weight_decay":0.0005,"train_size":null,"label_noise":0.0,"augment":"none","mask_interval":1,"fisher_samples":128,"fisher_batch":1,"norm":"full","clock":"epochs","seconds":30.0,"image_size":null,"device":"auto"}','interrupted','run',1790000011.5,1790000012.0,1790000014.0,'classroom:/home/lab',1790000013.5,4000011,1790000000.0,'the race process is gone: the machine or the runner was restarted','{"device": "cpu", "device_name": "Made-up CPU", "threads": 1, "precision": "float32", "parameters": 12, "train_size": 100, "test_size": 100, "classes": ["a", "b"], "steps_per_epoch": 10, "lanes": [{"name": "sgd", "method": "sgd", "sparsity": 0.5, "rho": 0.1, "total_steps": 20, "plan": "", "predicted_ratio": null, "exact": true}, {"name": "ssam-f", "method": "ssam-f", "sparsity": 0.5, "rho": 0.1, "total_steps": 20, "plan": "", "predicted_ratio": null, "exact": true}], "layers": [{"name": "conv.weight", "stage": "conv", "shape": [2, 6]}], "stages": [], "warnings": []}',NULL,0,0.5,NULL);
INSERT INTO "runs" VALUES(6,'race-number-06-------','request beside','ada','{"dataset":"fashion-mnist-10k","data":null,"model":"cnn8","lanes":[{"method":"sgd","rho":null,"sparsity":null,"norm":null,"region":"all","granularity":"weight","score":null,"direction":"gradient","ascent_batch":null,"ascent_interval":1},{"method":"ssam-f","rho":null,"sparsity":0.8,"norm":null,"region":"all","granularity":"weight","score":null,"direction":"gradient","ascent_batch":null,"ascent_interval":1}],"sparsity":0.5,"rho":0.1,"epochs":5,"seed":3,"batch_size":128,"lr":0.1,"momentum":0.9,"weight_decay":0.0005,"train_size":null,"label_noise":0.0,"augment":"none","mask_interval":1,"fisher_samples":128,"fisher_batch":1,"norm":"full","clock":"epochs","seconds":30.0,"image_size":null,"device":"auto"}','stopped','stop',1790000014.5,NULL,1790000017.5,NULL,NULL,NULL,NULL,'',NULL,NULL,0,0.0,NULL);
INSERT INTO "runs" VALUES(7,'race-number-07-------','request running','ada','{"dataset":"images","data":"cats-0123456789abcdef.zip","model":"cnn8","lanes":[{"method":"sgd","rho":null,"sparsity":null,"norm":null,"region":"all","granularity":"weight","score":null,"direction":"gradient","ascent_batch":null,"ascent_interval":1},{"method":"sam","rho":0.2,"sparsity":null,"norm":null,"region":"all","granularity":"weight","score":null,"direction":"gradient","ascent_batch":null,"ascent_interval":1}],"sparsity":0.5,"rho":0.1,"epochs":5,"seed":0,"batch_size":128,"lr":0.1,"momentum":0.9,"weight_decay":0.0005,"train_size":null,"label_noise":0.0,"augment":"none","mask_interval":1,"fisher_samples":128,"fisher_batch":1,"norm":"full","clock":"epochs","seconds":30.0,"image_size":null,"device":"cuda:0"}','running','run',1790000015.0,1790000015.5,NULL,'classroom:/home/lab',1790000017.0,4000007,1790000000.0,'','{"device": "cpu", "device_name": "Made-up CPU", "threads": 1, "precision": "float32", "parameters": 12, "train_size": 100, "test_size": 100, "classes": ["a", "b"], "steps_per_epoch": 10, "lanes": [{"name": "sgd", "method": "sgd", "sparsity": 0.5, "rho": 0.1, "total_steps": 20, "plan": "", "predicted_ratio": null, "exact": true}, {"name": "sam", "method": "sam", "sparsity": 0.5, "rho": 0.1, "total_steps": 20, "plan": "", "predicted_ratio": null, "exact": true}], "layers": [{"name": "conv.weight", "stage": "conv", "shape": [2, 6]}], "stages": [], "warnings": []}',NULL,1,0.0,1790000016.5);
INSERT INTO "runs" VALUES(8,'race-number-08-------','request held back','grace','{"dataset":"fashion-mnist-10k","data":null,"model":"cnn8","lanes":[{"method":"sgd","rho":null,"sparsity":null,"norm":null,"region":"all","granularity":"weight","score":null,"direction":"gradient","ascent_batch":null,"ascent_interval":1}],"sparsity":0.5,"rho":0.1,"epochs":5,"seed":0,"batch_size":128,"lr":0.1,"momentum":0.9,"weight_decay":0.0005,"train_size":null,"label_noise":0.0,"augment":"none","mask_interval":1,"fisher_samples":128,"fisher_batch":1,"norm":"full","clock":"seconds","seconds":5.0,"image_size":null,"device":"auto"}','queued','pause',1790000018.0,NULL,NULL,NULL,NULL,NULL,NULL,'',NULL,NULL,0,0.0,NULL);
INSERT INTO "runs" VALUES(9,'race-number-09-------','request queued','ada','{"dataset":"fashion-mnist-10k","data":null,"model":"cnn8","lanes":[{"method":"sgd","rho":null,"sparsity":null,"norm":null,"region":"all","granularity":"weight","score":null,"direction":"gradient","ascent_batch":null,"ascent_interval":1},{"method":"ssam-f","rho":null,"sparsity":0.8,"norm":null,"region":"all","granularity":"weight","score":null,"direction":"gradient","ascent_batch":null,"ascent_interval":1}],"sparsity":0.5,"rho":0.1,"epochs":5,"seed":3,"batch_size":128,"lr":0.1,"momentum":0.9,"weight_decay":0.0005,"train_size":null,"label_noise":0.0,"augment":"none","mask_interval":1,"fisher_samples":128,"fisher_batch":1,"norm":"full","clock":"epochs","seconds":30.0,"image_size":null,"device":"auto"}','queued','run',1790000018.5,NULL,NULL,NULL,NULL,NULL,NULL,'',NULL,NULL,0,0.0,NULL);
CREATE TABLE steps (
	run INTEGER NOT NULL, 
	lane INTEGER NOT NULL, 
	step BIGINT NOT NULL, 
	epoch DOUBLE, 
	gradients BIGINT, 
	seconds DOUBLE, 
	loss DOUBLE, 
	grad_norm DOUBLE, 
	radius DOUBLE, 
	ascent_gap DOUBLE, 
	ms_data DOUBLE, 
	ms_forward1 DOUBLE, 
	ms_backward1 DOUBLE, 
	ms_perturb DOUBLE, 
	ms_forward2 DOUBLE, 
	ms_backward2 DOUBLE, 
	ms_update DOUBLE, 
	ms_mask DOUBLE, 
	ratio DOUBLE, 
	PRIMARY KEY (run, lane, step), 
	FOREIGN KEY(run) REFERENCES runs ("key") ON DELETE CASCADE
)
 WITHOUT ROWID

;
INSERT INTO "steps" VALUES(1,0,1,0.1,2,0.01,1.0,1.0,NULL,NULL,1.0,2.0,3.0,NULL,NULL,NULL,1.0,NULL,2.0);
INSERT INTO "steps" VALUES(1,0,2,0.2,4,0.02,0.5,1.0,NULL,NULL,1.0,2.0,3.0,NULL,NULL,NULL,1.0,NULL,2.0);
INSERT INTO "steps" VALUES(1,0,3,0.3,6,0.03,3.33333333333333314829e-01,1.0,NULL,NULL,1.0,2.0,3.0,NULL,NULL,NULL,1.0,NULL,2.0);
INSERT INTO "steps" VALUES(1,0,4,0.4,8,0.04,0.25,1.0,NULL,NULL,1.0,2.0,3.0,NULL,NULL,NULL,1.0,NULL,2.0);
INSERT INTO "steps" VALUES(1,0,5,0.5,10,0.05,0.2,1.0,NULL,NULL,1.0,2.0,3.0,NULL,NULL,NULL,1.0,NULL,2.0);
INSERT INTO "steps" VALUES(1,0,6,0.6,12,0.06,1.66666666666666657414e-01,1.0,NULL,NULL,1.0,2.0,3.0,NULL,NULL,NULL,1.0,NULL,2.0);
INSERT INTO "steps" VALUES(1,0,7,0.7,14,0.07,1.42857142857142849212e-01,1.0,NULL,NULL,1.0,2.0,3.0,NULL,NULL,NULL,1.0,NULL,2.0);
INSERT INTO "steps" VALUES(1,0,8,0.8,16,0.08,0.125,1.0,NULL,NULL,1.0,2.0,3.0,NULL,NULL,NULL,1.0,NULL,2.0);
INSERT INTO "steps" VALUES(1,0,9,0.9,18,0.09,1.11111111111111104943e-01,1.0,NULL,NULL,1.0,2.0,3.0,NULL,NULL,NULL,1.0,NULL,2.0);
INSERT INTO "steps" VALUES(1,0,10,1.0,20,0.1,0.1,1.0,NULL,NULL,1.0,2.0,3.0,NULL,NULL,NULL,1.0,NULL,2.0);
INSERT INTO "steps" VALUES(1,0,11,1.1,22,0.11,9.09090909090909116141e-02,1.0,NULL,NULL,1.0,2.0,3.0,NULL,NULL,NULL,1.0,NULL,2.0);
INSERT INTO "steps" VALUES(1,0,12,1.2,24,0.12,8.33333333333333287074e-02,1.0,NULL,NULL,1.0,2.0,3.0,NULL,NULL,NULL,1.0,NULL,2.0);
INSERT INTO "steps" VALUES(1,1,1,0.1,2,0.01,1.0,1.0,0.1,0.2,1.0,2.0,3.0,NULL,2.0,3.0,1.0,40.0,2.0);
INSERT INTO "steps" VALUES(1,1,2,0.2,4,0.02,0.5,1.0,0.1,0.2,1.0,2.0,3.0,NULL,2.0,3.0,1.0,NULL,2.0);
INSERT INTO "steps" VALUES(1,1,3,0.3,6,0.03,3.33333333333333314829e-01,1.0,0.1,0.2,1.0,2.0,3.0,NULL,2.0,3.0,1.0,NULL,2.0);
INSERT INTO "steps" VALUES(1,1,4,0.4,8,0.04,0.25,1.0,0.1,0.2,1.0,2.0,3.0,NULL,2.0,3.0,1.0,NULL,2.0);
INSERT INTO "steps" VALUES(1,1,5,0.5,10,0.05,0.2,1.0,0.1,0.2,1.0,2.0,3.0,NULL,2.0,3.0,1.0,NULL,2.0);
INSERT INTO "steps" VALUES(1,1,6,0.6,12,0.06,1.66666666666666657414e-01,1.0,0.1,0.2,1.0,2.0,3.0,NULL,2.0,3.0,1.0,NULL,2.0);
INSERT INTO "steps" VALUES(1,1,7,0.7,14,0.07,1.42857142857142849212e-01,1.0,0.1,0.2,1.0,2.0,3.0,NULL,2.0,3.0,1.0,NULL,2.0);
INSERT INTO "steps" VALUES(1,1,8,0.8,16,0.08,0.125,1.0,0.1,0.2,1.0,2.0,3.0,NULL,2.0,3.0,1.0,NULL,2.0);
INSERT INTO "steps" VALUES(1,1,9,0.9,18,0.09,1.11111111111111104943e-01,1.0,0.1,0.2,1.0,2.0,3.0,NULL,2.0,3.0,1.0,NULL,2.0);
INSERT INTO "steps" VALUES(1,1,10,1.0,20,0.1,0.1,1.0,0.1,0.2,1.0,2.0,3.0,NULL,2.0,3.0,1.0,NULL,2.0);
INSERT INTO "steps" VALUES(1,1,11,1.1,22,0.11,9.09090909090909116141e-02,1.0,0.1,0.2,1.0,2.0,3.0,NULL,2.0,3.0,1.0,40.0,2.0);
INSERT INTO "steps" VALUES(1,1,12,1.2,24,0.12,8.33333333333333287074e-02,1.0,0.1,0.2,1.0,2.0,3.0,NULL,2.0,3.0,1.0,NULL,2.0);
INSERT INTO "steps" VALUES(2,0,1,0.1,2,0.01,1.0,1.0,NULL,NULL,1.0,2.0,3.0,NULL,NULL,NULL,1.0,NULL,2.0);
INSERT INTO "steps" VALUES(2,0,2,0.2,4,0.02,0.5,1.0,NULL,NULL,1.0,2.0,3.0,NULL,NULL,NULL,1.0,NULL,2.0);
INSERT INTO "steps" VALUES(2,0,3,0.3,6,0.03,3.33333333333333314829e-01,1.0,NULL,NULL,1.0,2.0,3.0,NULL,NULL,NULL,1.0,NULL,2.0);
INSERT INTO "steps" VALUES(2,0,4,0.4,8,0.04,0.25,1.0,NULL,NULL,1.0,2.0,3.0,NULL,NULL,NULL,1.0,NULL,2.0);
INSERT INTO "steps" VALUES(2,0,5,0.5,10,0.05,0.2,1.0,NULL,NULL,1.0,2.0,3.0,NULL,NULL,NULL,1.0,NULL,2.0);
INSERT INTO "steps" VALUES(2,0,6,0.6,12,0.06,1.66666666666666657414e-01,1.0,NULL,NULL,1.0,2.0,3.0,NULL,NULL,NULL,1.0,NULL,2.0);
INSERT INTO "steps" VALUES(2,0,7,0.7,14,0.07,1.42857142857142849212e-01,1.0,NULL,NULL,1.0,2.0,3.0,NULL,NULL,NULL,1.0,NULL,2.0);
INSERT INTO "steps" VALUES(2,0,8,0.8,16,0.08,0.125,1.0,NULL,NULL,1.0,2.0,3.0,NULL,NULL,NULL,1.0,NULL,2.0);
INSERT INTO "steps" VALUES(2,0,9,0.9,18,0.09,NULL,1.0,NULL,NULL,1.0,2.0,3.0,NULL,NULL,NULL,1.0,NULL,2.0);
INSERT INTO "steps" VALUES(2,0,10,1.0,20,0.1,0.1,1.0,NULL,NULL,1.0,2.0,3.0,NULL,NULL,NULL,1.0,NULL,2.0);
INSERT INTO "steps" VALUES(2,0,11,1.1,22,0.11,9.09090909090909116141e-02,1.0,NULL,NULL,1.0,2.0,3.0,NULL,NULL,NULL,1.0,NULL,2.0);
INSERT INTO "steps" VALUES(2,0,12,1.2,24,0.12,8.33333333333333287074e-02,1.0,NULL,NULL,1.0,2.0,3.0,NULL,NULL,NULL,1.0,NULL,2.0);
INSERT INTO "steps" VALUES(2,1,1,0.1,2,0.01,1.0,1.0,0.1,0.2,1.0,2.0,3.0,NULL,2.0,3.0,1.0,40.0,2.0);
INSERT INTO "steps" VALUES(2,1,2,0.2,4,0.02,0.5,1.0,0.1,0.2,1.0,2.0,3.0,NULL,2.0,3.0,1.0,NULL,2.0);
INSERT INTO "steps" VALUES(2,1,3,0.3,6,0.03,3.33333333333333314829e-01,1.0,0.1,0.2,1.0,2.0,3.0,NULL,2.0,3.0,1.0,NULL,2.0);
INSERT INTO "steps" VALUES(2,1,4,0.4,8,0.04,0.25,1.0,0.1,0.2,1.0,2.0,3.0,NULL,2.0,3.0,1.0,NULL,2.0);
INSERT INTO "steps" VALUES(2,1,5,0.5,10,0.05,0.2,1.0,0.1,0.2,1.0,2.0,3.0,NULL,2.0,3.0,1.0,NULL,2.0);
INSERT INTO "steps" VALUES(2,1,6,0.6,12,0.06,1.66666666666666657414e-01,1.0,0.1,0.2,1.0,2.0,3.0,NULL,2.0,3.0,1.0,NULL,2.0);
INSERT INTO "steps" VALUES(2,1,7,0.7,14,0.07,1.42857142857142849212e-01,1.0,0.1,0.2,1.0,2.0,3.0,NULL,2.0,3.0,1.0,NULL,2.0);
INSERT INTO "steps" VALUES(2,1,8,0.8,16,0.08,0.125,1.0,0.1,0.2,1.0,2.0,3.0,NULL,2.0,3.0,1.0,NULL,2.0);
INSERT INTO "steps" VALUES(2,1,9,0.9,18,0.09,NULL,1.0,0.1,0.2,1.0,2.0,3.0,NULL,2.0,3.0,1.0,NULL,2.0);
INSERT INTO "steps" VALUES(2,1,10,1.0,20,0.1,0.1,1.0,0.1,0.2,1.0,2.0,3.0,NULL,2.0,3.0,1.0,NULL,2.0);
INSERT INTO "steps" VALUES(2,1,11,1.1,22,0.11,9.09090909090909116141e-02,1.0,0.1,0.2,1.0,2.0,3.0,NULL,2.0,3.0,1.0,40.0,2.0);
INSERT INTO "steps" VALUES(2,1,12,1.2,24,0.12,8.33333333333333287074e-02,1.0,0.1,0.2,1.0,2.0,3.0,NULL,2.0,3.0,1.0,NULL,2.0);
INSERT INTO "steps" VALUES(3,0,1,0.1,2,0.01,1.0,1.0,NULL,NULL,1.0,2.0,3.0,NULL,NULL,NULL,1.0,NULL,2.0);
INSERT INTO "steps" VALUES(3,0,2,0.2,4,0.02,0.5,1.0,NULL,NULL,1.0,2.0,3.0,NULL,NULL,NULL,1.0,NULL,2.0);
INSERT INTO "steps" VALUES(3,0,3,0.3,6,0.03,3.33333333333333314829e-01,1.0,NULL,NULL,1.0,2.0,3.0,NULL,NULL,NULL,1.0,NULL,2.0);
INSERT INTO "steps" VALUES(3,1,1,0.1,2,0.01,1.0,1.0,0.1,0.2,1.0,2.0,3.0,NULL,2.0,3.0,1.0,40.0,2.0);
INSERT INTO "steps" VALUES(3,1,2,0.2,4,0.02,0.5,1.0,0.1,0.2,1.0,2.0,3.0,NULL,2.0,3.0,1.0,NULL,2.0);
INSERT INTO "steps" VALUES(3,1,3,0.3,6,0.03,3.33333333333333314829e-01,1.0,0.1,0.2,1.0,2.0,3.0,NULL,2.0,3.0,1.0,NULL,2.0);
INSERT INTO "steps" VALUES(4,0,1,0.1,2,0.01,1.0,1.0,NULL,NULL,1.0,2.0,3.0,NULL,NULL,NULL,1.0,NULL,2.0);
INSERT INTO "steps" VALUES(4,0,2,0.2,4,0.02,0.5,1.0,NULL,NULL,1.0,2.0,3.0,NULL,NULL,NULL,1.0,NULL,2.0);
INSERT INTO "steps" VALUES(4,0,3,0.3,6,0.03,3.33333333333333314829e-01,1.0,NULL,NULL,1.0,2.0,3.0,NULL,NULL,NULL,1.0,NULL,2.0);
INSERT INTO "steps" VALUES(4,0,4,0.4,8,0.04,0.25,1.0,NULL,NULL,1.0,2.0,3.0,NULL,NULL,NULL,1.0,NULL,2.0);
INSERT INTO "steps" VALUES(4,1,1,0.1,2,0.01,1.0,1.0,0.1,0.2,1.0,2.0,3.0,NULL,2.0,3.0,1.0,40.0,2.0);
INSERT INTO "steps" VALUES(4,1,2,0.2,4,0.02,0.5,1.0,0.1,0.2,1.0,2.0,3.0,NULL,2.0,3.0,1.0,NULL,2.0);
INSERT INTO "steps" VALUES(4,1,3,0.3,6,0.03,3.33333333333333314829e-01,1.0,0.1,0.2,1.0,2.0,3.0,NULL,2.0,3.0,1.0,NULL,2.0);
INSERT INTO "steps" VALUES(4,1,4,0.4,8,0.04,0.25,1.0,0.1,0.2,1.0,2.0,3.0,NULL,2.0,3.0,1.0,NULL,2.0);
INSERT INTO "steps" VALUES(5,0,1,0.1,2,0.01,1.0,1.0,NULL,NULL,1.0,2.0,3.0,NULL,NULL,NULL,1.0,NULL,2.0);
INSERT INTO "steps" VALUES(5,0,2,0.2,4,0.02,0.5,1.0,NULL,NULL,1.0,2.0,3.0,NULL,NULL,NULL,1.0,NULL,2.0);
INSERT INTO "steps" VALUES(5,1,1,0.1,2,0.01,1.0,1.0,0.1,0.2,1.0,2.0,3.0,NULL,2.0,3.0,1.0,40.0,2.0);
INSERT INTO "steps" VALUES(5,1,2,0.2,4,0.02,0.5,1.0,0.1,0.2,1.0,2.0,3.0,NULL,2.0,3.0,1.0,NULL,2.0);
INSERT INTO "steps" VALUES(7,0,1,0.1,2,0.01,1.0,1.0,NULL,NULL,1.0,2.0,3.0,NULL,NULL,NULL,1.0,NULL,2.0);
INSERT INTO "steps" VALUES(7,0,2,0.2,4,0.02,0.5,1.0,NULL,NULL,1.0,2.0,3.0,NULL,NULL,NULL,1.0,NULL,2.0);
INSERT INTO "steps" VALUES(7,1,1,0.1,2,0.01,1.0,1.0,0.1,0.2,1.0,2.0,3.0,NULL,2.0,3.0,1.0,40.0,2.0);
INSERT INTO "steps" VALUES(7,1,2,0.2,4,0.02,0.5,1.0,0.1,0.2,1.0,2.0,3.0,NULL,2.0,3.0,1.0,NULL,2.0);
CREATE INDEX ix_runs_state ON runs (state);
COMMIT;
