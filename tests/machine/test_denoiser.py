"""A machine where diffusers expects a network."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from diffusers import DDIMPipeline, DDIMScheduler, DDPMPipeline, DDPMScheduler
from diffusers.utils import BaseOutput
from PIL import Image
from torch import Tensor

import scoremachines as sm
from scoremachines.errors import InputError
from scoremachines.machine import pretrained
from scoremachines.sampling.reverse_process import scheduler_trajectory

pytestmark = pytest.mark.filterwarnings("ignore:.*:FutureWarning")


def images(count: int = 11) -> Tensor:
    draw = torch.Generator().manual_seed(0)
    return torch.rand((count, 3, 5, 7), generator=draw) * 2 - 1


@pytest.fixture
def machine() -> sm.ScoreMachine:
    return sm.els(sm.TrainingSet(images(), torch.arange(11) % 2), 3, attention="tiled")


@pytest.mark.parametrize("kind", ["epsilon", "sample"])
@pytest.mark.parametrize(
    ("pipeline", "scheduler"), [(DDPMPipeline, DDPMScheduler), (DDIMPipeline, DDIMScheduler)]
)
def test_pipelines_equal_our_loop(pipeline: type, scheduler: type, kind: str) -> None:
    machine = sm.els(sm.TrainingSet(images()), 3, prediction_type=kind)
    made = scheduler(prediction_type=kind)
    pipe = pipeline(unet=machine.match(made), scheduler=made)
    pipe.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(5)
    shown = pipe(2, generator=generator, num_inference_steps=9, output_type="np").images
    generator = torch.Generator().manual_seed(5)
    noise = torch.randn(2, 3, 5, 7, generator=generator)
    loop = scheduler_trajectory(machine, noise, made, 9, generators=generator)
    *_, last = loop
    ours = (last.after / 2 + 0.5).clamp(0, 1).movedim(1, -1).numpy()
    assert abs(shown - ours).max() < 1e-5


def test_forward_is_that_of_a_unet(machine: sm.ScoreMachine) -> None:
    noisy = images(2)
    step = 400
    output = machine(noisy, step)
    assert isinstance(output, BaseOutput)
    level = float(DDPMScheduler().alphas_cumprod[step])
    torch.testing.assert_close(output.sample, machine.epsilon(noisy, level), rtol=0, atol=1e-4)
    (plain,) = machine(noisy, torch.tensor(step), return_dict=False)
    assert torch.equal(plain, output.sample)
    labelled = machine(noisy, step, class_labels=torch.tensor([1, 0])).sample
    known = machine.epsilon(noisy, level, torch.tensor([1, 0]))
    torch.testing.assert_close(labelled, known, rtol=0, atol=1e-4)
    between = machine(noisy, 400.5).sample
    assert not torch.equal(between, output.sample)


def test_a_machine_reads_the_steps_of_another_scheduler(machine: sm.ScoreMachine) -> None:
    scheduler = DDIMScheduler(beta_schedule="squaredcos_cap_v2", num_train_timesteps=100)
    machine.match(scheduler)
    noisy, level = images(2), float(scheduler.alphas_cumprod[30])
    torch.testing.assert_close(
        machine(noisy, 30).sample, machine.epsilon(noisy, level), rtol=0, atol=1e-4
    )


def test_a_machine_survives_a_folder(machine: sm.ScoreMachine, tmp_path: Path) -> None:
    machine.match([0.9, 0.5, 0.1])
    machine.save_pretrained(tmp_path)
    again = sm.ScoreMachine.from_pretrained(tmp_path)
    noisy = images(2)
    assert torch.equal(again(noisy, 1).sample, machine(noisy, 1).sample)
    assert {**again.config} == {**machine.config}
    assert sm.ScoreMachine.from_pretrained(tmp_path, torch_dtype=torch.float64).dtype == (
        torch.float64
    )


def test_schedules_matrices_and_whole_images_survive(tmp_path: Path) -> None:
    data, noisy = sm.TrainingSet(images()), images(2)
    for number, machine in enumerate(
        (
            sm.ideal(data),
            sm.bbels(data, {0.0: 1, 1.0: 5}),
            sm.els(data, 3, attention=sm_soft(), schedule="linear", memory=2**28),
        )
    ):
        machine.save_pretrained(tmp_path / str(number))
        again = sm.ScoreMachine.from_pretrained(tmp_path / str(number))
        assert torch.equal(again.denoise(noisy, 0.5), machine.denoise(noisy, 0.5))


def sm_soft() -> object:
    from scoremachines.attention import Scaled, Soft

    matrix = torch.rand(35, 35, generator=torch.Generator().manual_seed(1))
    return Scaled(Soft(matrix), 0.3)


def test_a_pipeline_survives_a_folder_and_another_process(
    machine: sm.ScoreMachine, tmp_path: Path
) -> None:
    DDPMPipeline(unet=machine, scheduler=DDPMScheduler()).save_pretrained(tmp_path / "pipe")
    code = (
        "import sys, torch; from diffusers import DDPMPipeline; "
        "from scoremachines import ScoreMachine; "  # diffusers imports no stranger by itself
        "pipe = DDPMPipeline.from_pretrained(sys.argv[1]); "
        "pipe.set_progress_bar_config(disable=True); "
        "noise = torch.Generator().manual_seed(1); "
        "pipe(1, generator=noise, num_inference_steps=5).images[0].save(sys.argv[2])"
    )
    line = [sys.executable, "-c", code, str(tmp_path / "pipe"), str(tmp_path / "one.png")]
    ended = subprocess.run(line, check=False, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    pipe = DDPMPipeline(unet=machine, scheduler=DDPMScheduler())
    pipe.set_progress_bar_config(disable=True)
    known = pipe(1, generator=torch.Generator().manual_seed(1), num_inference_steps=5).images[0]
    with Image.open(tmp_path / "one.png") as found:
        assert found.tobytes() == known.tobytes()


def test_large_sets_are_referred_to_not_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pretrained, "EMBEDDED", 100)
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, image in enumerate(((images() + 1) * 127).byte()):
        Image.fromarray(image.movedim(0, -1).numpy()).save(folder / f"{number}.png")
    machine = sm.els(sm.from_folder(folder), 3)
    machine.save_pretrained(tmp_path / "machine")
    settings = json.loads((tmp_path / "machine" / "config.json").read_text())
    assert settings["training_set"]["location"] == str(folder)
    assert not list((tmp_path / "machine").glob("*.safetensors"))
    again = sm.ScoreMachine.from_pretrained(tmp_path / "machine")
    assert torch.equal(again.denoise(images(1), 0.5), machine.denoise(images(1), 0.5))
    (folder / "3.png").unlink()
    with pytest.raises(InputError, match="contents have changed"):
        sm.ScoreMachine.from_pretrained(tmp_path / "machine")


def test_what_cannot_be_kept_or_read(machine: sm.ScoreMachine, tmp_path: Path) -> None:
    function = sm.els(machine.data, 3, attention=lambda noisy, time: torch.zeros(35, 35))
    with pytest.raises(InputError, match="attention='measured'"):
        function.save_pretrained(tmp_path / "no")
    assert not (tmp_path / "no").exists()
    with pytest.raises(InputError, match="path="):
        sm.ScoreMachine.from_pretrained(tmp_path / "no")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="path="):
        machine.save_pretrained(tmp_path / "file" / "folder")
