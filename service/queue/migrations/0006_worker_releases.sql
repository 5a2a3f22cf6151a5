-- Which release a worker is of, as its surroundings name it (on ECS the task definition's family and
-- revision); NULL where they do not.
ALTER TABLE queue_workers ADD COLUMN release TEXT;
